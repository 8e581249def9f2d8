"""The log of a function: JSON lines, to which the library's own loggers write too."""

from __future__ import annotations

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers


def create_logger(service: str, level: str) -> Logger:
    """The logger of the function ``service``; nothing less severe than ``level`` is written."""
    logger = Logger(service=service, level=level)
    copy_config_to_registered_loggers(source_logger=logger, include={"moorage"})
    return logger
