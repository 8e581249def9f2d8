"""The edge functions in QuickJS."""

from tests.edge.suite import Suite


class TestInQuickJs(Suite):
    pass
