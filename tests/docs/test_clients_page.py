"""The table of clients on its page has the rows and columns that the code knows, and no cell is empty or failed."""

from __future__ import annotations

from tests.clients import matrix
from tests.clients.absent import ABSENT


def test_the_table_is_of_these_clients_and_cases_and_whole():
    page = matrix.PAGE.read_text("utf-8")
    generated = page.partition(matrix.BEGIN)[2].partition(matrix.END)[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in generated.splitlines()
        if line.startswith("|")
    ]
    assert [head.partition(" ")[0] for head in rows[0]] == ["case", *matrix.CLIENTS]
    assert all(head.partition(" ")[2] for head in rows[0][1:]), "a client without its version"
    assert [row[0] for row in rows[2:]] == list(matrix.CASES)
    for case, *cells in rows[2:]:
        expected = ["—" if (client, case) in ABSENT else "ok" for client in matrix.CLIENTS]
        assert cells == expected, case


def test_every_absent_cell_has_its_reason_on_the_page():
    page = matrix.PAGE.read_text("utf-8")
    for (client, case), absent in ABSENT.items():
        assert f"{client}, {case}: —, it {absent.reason}" in page
