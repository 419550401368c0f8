"""Refit and promote what drifted: a DAG for Airflow 3. It goes into the folder of DAGs as it is.

`forecast` and its settings (/srv/forecast/forecast.toml) must be where the workers of Airflow run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

# Exit code 3: all is done, but a champion could not be told of everywhere; the next run tells it.
COMMAND = "forecast retrain --due --log kafka --log-format json || [ $? -eq 3 ]"

with DAG(
    dag_id="forecast_retrain",
    description="Refit and promote what drifted",
    schedule="*/5 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,  # what was missed is in the queue of the store, not in runs of this DAG
    max_active_runs=4,  # several may run at once
    tags=["forecast"],
) as dag:
    BashOperator(
        task_id="retrain_due",
        bash_command=COMMAND,
        cwd="/srv/forecast",
        append_env=True,
        retries=3,
        retry_delay=timedelta(minutes=2),
    )
