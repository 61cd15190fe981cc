"""A business that answers with a model of ours, on both transports."""

from sessions.conftest import make as make
from sessions.conftest import shop as shop
from sessions.conftest import told as told
from stands.served import sql as sql
