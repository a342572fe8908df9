"""What a browser sends of a form when nobody touches anything."""

from html.parser import HTMLParser


def fields_of_page(text: str, form: str) -> dict[str, list[str]]:
    """Return the fields of the form with this id, as they are sent."""
    reader = _Reader(form)
    reader.feed(text)
    reader.close()
    return reader.fields


class _Reader(HTMLParser):
    """Reads a form's fields as HTML has it: boxes that are ticked, chosen options, texts without what browsers take away."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.fields: dict[str, list[str]] = {}
        self._form = form
        self._is_inside = False
        self._select = self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        name, kind = said.get("name", ""), said.get("type", "text")
        if tag == "form":
            self._is_inside = said.get("id") == self._form
        elif not self._is_inside:
            return
        elif tag == "select":
            self._select = name
        elif tag == "option" and ("selected" in said or self._select not in self.fields):
            self.fields[self._select] = [said["value"]]  # the first one, where none is chosen
        elif tag == "textarea":
            self._area, self.fields[name] = name, [""]
        elif tag == "input" and name and (kind != "checkbox" or "checked" in said):
            value = said.get("value", "")
            if kind in {"text", "url"}:  # of one line
                value = value.replace("\r", "").replace("\n", "")
            self.fields.setdefault(name, []).append(value)

    def handle_data(self, data: str) -> None:
        if self._area:
            self.fields[self._area][0] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False
        elif tag == "textarea" and self._area:
            text = self.fields[self._area][0].replace("\r\n", "\n").replace("\r", "\n").removeprefix("\n")
            self.fields[self._area] = [text.replace("\n", "\r\n")]
            self._area = ""
