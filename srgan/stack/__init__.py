"""The local services of one machine: S3, Prefect server and worker, MLflow, Ray.

They run under supervisor (`infra/local/supervisord.conf`) with everything they keep below one
home folder, so that flows meet the same kinds of service here as on a cluster.
"""

from srgan.stack.deploy import deploy
from srgan.stack.local import SERVICES, ServiceStatus, Stack

__all__ = ["SERVICES", "ServiceStatus", "Stack", "deploy"]
