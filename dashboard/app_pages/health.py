"""Settings and health: whether what the pages show can be trusted."""

from __future__ import annotations

import streamlit as st

from dashboard.access import current_viewer
from dashboard.cards import chart_card
from dashboard.charts.health import durations_note, job_durations
from dashboard.filters import organization_choice
from dashboard.frame import colours, organization
from dashboard.head import page_head
from dashboard.parts.health_access import access_tab
from dashboard.parts.health_channels import channels_tab
from dashboard.parts.health_document import document_tab
from dashboard.parts.health_inside import audit_tab, findings_tab, settings_tab
from dashboard.parts.health_lights import lights, show_lights
from dashboard.reading.base import ledger_url
from dashboard.reading.health import read_health_view
from engine.settings import read_settings

TABS = ("Channels", "Document", "Roles", "Settings", "Findings", "Audit log")

page_head("Settings & health", "Can I trust what I see?")
organization_choice()
settings = read_settings()
viewer = current_viewer(organization())
view = read_health_view(ledger_url(), organization())

show_lights(lights(view, settings))
if view.jobs:
    chart_card(job_durations(view.jobs, view.now, colours()), "jobs", durations_note(view.jobs))

# Only the open tab is run: findings ask Redis, and others read what not everybody may see.
channels, document, roles, inside, findings, audit = st.tabs(TABS, key="tab", bind="query-params", on_change="rerun")
if channels.open:
    with channels:
        channels_tab(view, settings)
if document.open:
    with document:
        document_tab()
if roles.open:
    with roles:
        access_tab(viewer, settings)
if inside.open:
    with inside:
        settings_tab(viewer, settings)
if findings.open:
    with findings:
        findings_tab(viewer, settings)
if audit.open:
    with audit:
        audit_tab(viewer)
