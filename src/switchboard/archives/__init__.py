"""Exports that are kept: asked for, made in the background, and there for thirty days.

    asked.py     what may be asked for, and what is told of it
    make.py      claimed under a lease → written → kept; what is to be made is in the rows
    claimed.py   an export that is to be made
    write.py     the file of one, on the disk
    take.py      a file as the answer, to be saved or looked at
    routes.py    `/api/exports/`

Promises: an export is listed as ready when its file is in storage, whole, and not before; it is made by one process at
a time, and by another if that one dies; whoever takes it has the right to it at that moment. The rules are SQL:
`89_export_jobs.sql`. Does not know: how anything is read, hidden or written (`exports`), or where files are.
"""
