"""What somebody might write so that a page does what they want: some 200 texts, none of which may become anything."""

import itertools

CALL = "document.title='owned';alert(1)"
AWAY = "https://evil.example/x"
_VECTORS = (
    f"<script>{CALL}</script>",
    f"<ScRiPt src={AWAY}></sCrIpT>",
    f"<img src=x onerror={CALL}>",
    f"<img src={AWAY}>",
    f"<svg/onload={CALL}>",
    f"<svg><script href={AWAY} /></svg>",
    f"<svg><animate onbegin={CALL} attributeName=x dur=1s>",
    f"<iframe srcdoc='<script>{CALL}</script>'></iframe>",
    f"<iframe src=javascript:{CALL}>",
    f"<object data={AWAY}></object>",
    f"<embed src={AWAY}>",
    f"<link rel=stylesheet href={AWAY}>",
    f"<style>@import '{AWAY}';</style>",
    f"<style>*{{background:url({AWAY})}}</style>",
    f"<meta http-equiv=refresh content='0;url={AWAY}'>",
    f"<base href={AWAY}>",
    f"<form action={AWAY}><input name=x autofocus onfocus={CALL}></form>",
    f"<a href=javascript:{CALL}>press</a>",
    f"<video poster={AWAY}><source onerror={CALL}></video>",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror={CALL}&gt;'>",
    f"<template><script>{CALL}</script></template>",
    f"<details open ontoggle={CALL}>",
    f"<body onload={CALL}>",
    f"<noscript><p title='</noscript><img src=x onerror={CALL}>'>",
    f"javascript:{CALL}",
)
_AROUND = (
    "{}",
    '">{}',
    "'>{}",
    "--></script></style></title></textarea>{}",
    "]]>{}",
    "</li></ol></article>{}",
    "\u202e{}\u2066",
    "{{{{7*7}}}}{}{{% raw %}}${{1+1}}%s",
)
CORPUS = [around.format(vector) for around, vector in itertools.product(_AROUND, _VECTORS)]
"""Each vector in each surrounding."""
EVALUATED = ("49${", "7777777", "owned")
"""What would stand somewhere if one had been worked out."""
