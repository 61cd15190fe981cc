"""Names that are words as well, and words that are parts of names without naming anybody. Folded, as `folding.fold` does it."""

from typing import Final

PARTICLES: Final = frozenset(
    "de da do dos das del della di du des la le las los el al ul von van der den ter ten zu zur vom bin ibn bint ben bar abu"
    " y e i und and et af av san santa mac mc dr prof mr mrs ms miss mx sir herr frau hr fr dipl ing don dona sr sra srta mme mlle"
    " pan pani sig bay bayan jr sr ii iii iv phd md st".split()
)
"""Never a name alone, but part of one beside the others."""
MONTHS: Final = frozenset("may april june august augustus juni mai mayo avril abril march mart".split())
"""Names that a month has: only beside another part."""
WORDS: Final = frozenset(
    # English
    "will mark bill art rob pat max rose grace hope faith joy sunny summer autumn winter dawn eve angel chance drew jack dick frank"
    " guy rich sky star chase hunter mason miles dale glen brook heath forest cliff ray ruby pearl amber jade crystal ivy daisy lily"
    " violet olive penny victor christian king prince duke earl judge page price power stone wood woods brown white black green gray"
    " grey young long short little small best good day wise sharp strong love cook baker smith mills hill hall lane field fields park"
    " ford west north south east english french welsh london paris chelsea florence virginia georgia austin dallas jordan israel"
    " carol gene don herb jean john sue tad ward warren can in an so do al bo jo li ed my be on or us it is as at he me we no up go"
    " bishop carter taylor parker cooper mason fisher walker potter major case cash cross marsh banks rivers waters bell bush flowers"
    # German, Dutch
    " ernst klein gross lang kurz neu wolf stern sommer herbst engel richter bauer koch weber schneider fischer wagner becker"
    " meister wunder rot weiss schwarz braun bach berg feld wald tal frei gut jung alt ende immer heute nadel kaiser konig mann kind"
    # French, Spanish, Italian, Portuguese
    " aime petit grand blanc roux noir rose claire france pierre marin olive chantal rouge amour dolores pilar luz paz sol mar cruz"
    " angel jesus salvador dulce blanca rosa flor leon cruz reyes campos rios flores nieves rojo moreno delgado bueno mia sua tua"
    " gioia bruno bianco rossi verde costa serena vera luna stella fiore gentile grande piccolo silva santos rocha lima luz"
    # Polish, Turkish
    " kim kto pan moja ira tom jan ali deniz can ela gul umut baris ozgur savas yildiz gunes bulut yagmur toprak ates su kaya demir"
    " altin polat sevgi mutlu bahar eylul ekim ask cinar irmak ruzgar onur".split()
)
"""Names that stand alone only with a capital inside a sentence."""
