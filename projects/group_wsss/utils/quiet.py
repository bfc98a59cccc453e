# Copyright (c) group_wsss contributors. All rights reserved.
"""Keep from the terminal what nobody reads there; log files keep it all."""
import logging
import re
import warnings
from typing import Any

# how messages of mmengine begin that belong into the log file: environment,
# config, order of hooks, initialization of every weight, where files come
# from and go to. In other words they appear again, nothing is lost.
_FILE_ONLY = re.compile(
    r'\n-{10,}\nSystem environment|Config:\n|Hooks will be executed|'
    r'\n\S+ - torch\.Size\(|Using env variable|Distributed training is not '
    r'used|Checkpoints will be saved to|Loads checkpoint by|Exp name: |'
    r'paramwise_options -- |backbone \w+(\[\d+\])?: |\S+ is skipped since its '
    r'requires_grad|"\w+" will be deprecated in future|"\w+" is the alias of|'
    r'The prefix is not set in metric class')
# of mmcv without operators, and of hooks that draw when they are asked to
_HARMLESS = ('Fail to import ``MultiScaleDeformableAttention``',
             'The draw is False')


def _for_people(record: logging.LogRecord) -> bool:
    """Tell whether a record goes to the terminal."""
    return (record.levelno >= logging.ERROR
            or not _FILE_ONLY.match(record.getMessage()))


def hide_on_terminal(logger: logging.Logger) -> None:
    """Let the terminal have what a person reads, and files everything.

    Args:
        logger (logging.Logger): Its handlers that write to no file get a
            filter; none where it shows details anyway (``DEBUG``).
    """
    for handler in logger.handlers:
        if (not isinstance(handler, logging.FileHandler)
                and handler.level > logging.DEBUG):
            handler.addFilter(_for_people)  # added once


def quieten() -> None:
    """Do so for what the libraries say before a log file is there.

    To be called before mmseg and mmpretrain are imported.
    """
    from mmengine import logging as library
    for message in _HARMLESS:
        warnings.filterwarnings('ignore', message)
    hide_on_terminal(library.MMLogger.get_current_instance())
    print_log = library.print_log
    if print_log.__module__ == __name__:
        return

    def print_above_debug(msg: Any,
                          logger: Any = None,
                          level: int = logging.INFO) -> None:
        """``print_log``; without a logger it prints details as well."""
        if logger is not None or (level > logging.DEBUG
                                  and not _FILE_ONLY.match(str(msg))):
            print_log(msg, logger, level)

    # the forks say "Could not import OneDL" at this level on every start
    library.print_log = print_above_debug
