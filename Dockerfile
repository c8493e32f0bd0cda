# For Docker and Kubernetes work pools. Flows run from /app; mount shared storage at /app/runs and /app/models.
# The package index decides which build of torch the lock installs: PyPI's own for Linux on x86 brings CUDA along.
FROM python:3.11-slim

WORKDIR /app
COPY requirements.lock .
RUN pip install --no-cache-dir -r requirements.lock
COPY pyproject.toml README.md LICENSE prefect.yaml run.toml retrain.toml predict.toml ./
COPY flows flows
COPY tasks tasks
COPY unbroken unbroken
RUN pip install --no-cache-dir --no-build-isolation --no-deps --editable .

# A user of its own, who owns the folders that the runs write.
RUN useradd --create-home unbroken && mkdir runs models && chown unbroken: runs models
USER unbroken
CMD ["prefect", "flow-run", "execute"]
