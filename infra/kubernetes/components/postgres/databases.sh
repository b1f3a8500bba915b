#!/usr/bin/env bash
# Makes a database and a user for Prefect and for MLflow. PostgreSQL's image runs it when the volume is empty.
set -euo pipefail

create() {
  psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" \
    --set=name="$1" --set=password="$2" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
SQL
}

create prefect "${PREFECT_DATABASE_PASSWORD:?}"
create mlflow "${MLFLOW_DATABASE_PASSWORD:?}"
