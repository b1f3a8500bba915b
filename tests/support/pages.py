"""Pages as a browser would load them, without a browser."""

import html.parser


class Collected(html.parser.HTMLParser):
    """Addresses, scripts and text that a browser would load, run and show."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self.styled: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.addresses += [str(found[name]) for name in ("src", "href") if name in found]
        self.styled += [tag for name in found if name == "style" or name.startswith("on")]
        self._open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" in self._open:
            self.scripts[-1] += data
        elif "style" not in self._open:
            self.text += f" {data}"

    @property
    def words(self) -> str:
        """The text with one space between words."""
        return " ".join(self.text.split())
