"""Pages run as Streamlit runs them, without a browser."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

import dashboard

APP = Path(dashboard.__file__).with_name("app.py")


def open_page(name: str, **parameters: str) -> AppTest:
    """The page as a visitor who comes by this address sees it in a fresh session; `name` is that of its script."""
    app = AppTest.from_file(str(APP), default_timeout=60).switch_page(f"app_pages/{name}.py")
    for key, value in parameters.items():
        app.query_params[key] = value
    return app.run()


def text_of(app: AppTest) -> str:
    """Everything written on the page, without Markdown's backslashes."""
    blocks = (
        *app.title, *app.subheader, *app.caption, *app.markdown, *app.info, *app.warning, *app.error, *app.success,
    )  # fmt: skip
    return "\n".join(str(block.value) for block in blocks).replace("\\", "")
