"""`uvicorn api:app` or `python api.py`."""

from switchboard.cli import serve
from switchboard.web import create_app

app = create_app()

if __name__ == "__main__":
    serve()
