"""When a page of the dashboard is whole: it has run, nothing is stale, no skeleton is left, each chart is drawn."""

from __future__ import annotations

IS_WHOLE = """(title => {
  const app = document.querySelector('[data-testid="stApp"]');
  if (!app || app.getAttribute('data-test-script-state') !== 'notRunning') return false;
  const heading = document.querySelector('h1');
  if (!heading || (title && heading.textContent.trim() !== title)) return false;
  if (document.querySelector('[data-testid="stSkeleton"], [data-testid="stAppSkeleton"], [data-stale="true"]'))
    return false;
  return [...document.querySelectorAll('[data-testid="stPlotlyChart"]')].every(
    chart => !chart.checkVisibility() || chart.querySelector('.main-svg'));
})"""
"""A JavaScript function of the page's title; without one, of any page."""

EXCEPTION = '[data-testid="stException"]'
ERROR_BOX = '[data-testid="stAlert"]:has-text("Reference:")'
SKELETON = '[data-testid="stSkeleton"], [data-testid="stAppSkeleton"]'
NO_PAGE = '[role="dialog"]:has-text("Page not found")'
