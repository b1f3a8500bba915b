"""The local services of one machine: S3, Prefect server and worker, MLflow, Ray.

They run under supervisor (`supervisord.conf`) and keep everything below one home
folder. Flows meet the same kinds of service here as on a cluster.
"""

from srgan.stack.local import SERVICES, ServiceStatus, Stack

__all__ = ["SERVICES", "ServiceStatus", "Stack"]
