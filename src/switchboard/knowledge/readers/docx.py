"""Word's DOCX, by mammoth, which makes simple HTML of it: headings, lists and tables, and nothing else."""

import io
import zipfile

from switchboard.knowledge.readers import Section, Unreadable
from switchboard.knowledge.readers.web_page import read_html

MOST_UNPACKED = 100_000_000
"""Bytes of all files in the archive together, as it declares them; the process that reads has a limit of its own."""
MOST_FILES = 5_000


def read_docx(body: bytes) -> list[Section]:
    """Sections by Word's own headings. Raises `Unreadable` for a bomb, a broken file, or one that is no DOCX."""
    import mammoth

    _look_inside(body)
    try:
        page = mammoth.convert_to_html(
            io.BytesIO(body),
            convert_image=mammoth.images.img_element(lambda image: {}),
            include_embedded_style_map=False,
            external_file_access=False,
        )
    except (MemoryError, Unreadable):
        raise
    except Exception as error:
        raise Unreadable("The DOCX is broken: it cannot be read. Open it and save it anew.") from error
    return read_html(page.value.encode())


def _look_inside(body: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            files = archive.infolist()
            names = {file.filename for file in files}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise Unreadable("The DOCX is broken: it cannot be read. Open it and save it anew.") from error
    if len(files) > MOST_FILES or sum(file.file_size for file in files) > MOST_UNPACKED:
        raise Unreadable(f"The DOCX unpacks to more than {MOST_UNPACKED // 1_000_000} MB or {MOST_FILES:,} files.")
    if "[Content_Types].xml" not in names:
        raise Unreadable("This is a ZIP archive and no DOCX.")
