"""The chat as visitors of a web page see it.

    pages.py    `/chat`, what it loads, and `/widget.js`, which puts it into other pages

The page itself is in `templates/chat/`: plain HTML, CSS and JavaScript modules, nothing built, nothing from elsewhere.

Promises: only pages of `CHAT_ORIGINS` may show it in a frame; whatever is said in it, it runs no script but its own.
Does not know: conversations. The page speaks to `/api/v1/chat` like any other client.
"""
