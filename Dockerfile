# Made in one image and run in another, so that nothing that builds is in what runs.
FROM python:3.11-slim AS build
WORKDIR /app
ENV UV_PYTHON_DOWNLOADS=never
COPY requirements/bootstrap.txt requirements/runtime.txt requirements/
RUN python -m venv /uv \
    && /uv/bin/pip install --no-cache-dir --require-hashes -r requirements/bootstrap.txt \
    && /uv/bin/uv venv --python python3.11 .venv \
    && /uv/bin/uv pip install --no-cache --compile-bytecode --python .venv/bin/python \
        --require-hashes -r requirements/runtime.txt
COPY requirements/link.py requirements/
COPY supabase/migrations supabase/migrations
COPY templates templates
COPY src src
COPY api.py .
RUN .venv/bin/python requirements/link.py && .venv/bin/python -m compileall -q src

FROM python:3.11-slim
# The embedded Postgres wants a user that has a name, and a folder of its own.
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /data switchboard \
    && install -d -o switchboard -g switchboard -m 0700 /data
COPY --from=build /app /app
WORKDIR /app
USER 10001
ENV PATH=/app/.venv/bin:$PATH HOST=0.0.0.0 DATA_DIR=/data PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8000
# Whether the process lives, not whether it is ready: a restart does not bring a database back.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT') or 8000}/health/live\", timeout=4)"]
CMD ["switchboard", "serve"]
