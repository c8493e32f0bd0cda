# For work pools of any type: flows run from /app. Mount storage that outlives a container at /app/runs, /app/models and
# /app/predictions. The package index decides which build of torch is installed: PyPI's own for Linux on x86 brings CUDA along.
FROM python:3.11-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE prefect.yaml ./
COPY flows flows
COPY tasks tasks
COPY unbroken unbroken
COPY examples examples
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.11-slim
WORKDIR /app
# What pool and deployments are called after; the folder is none of its own.
ENV UNBROKEN_PROJECT=unbroken
COPY requirements.lock .
COPY --from=wheel /wheel /wheel
# The lock says which versions, the wheel which packages.
RUN pip install --no-cache-dir --constraint requirements.lock /wheel/*.whl
COPY prefect.yaml pyproject.toml run.toml retrain.toml predict.toml ./
COPY flows flows
COPY tasks tasks

# A user of its own, by number so that any host can check it, who owns the folders that the runs write.
RUN useradd --uid 10001 --create-home unbroken && mkdir runs models predictions && chown unbroken: runs models predictions
USER 10001
CMD ["prefect", "flow-run", "execute"]
