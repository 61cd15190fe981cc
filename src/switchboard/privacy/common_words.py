"""Names that are words as well, and words that are parts of names without naming anybody.

Folded, as `folding.fold` does it.
"""

from typing import Final

_PARTICLES = """
de da do dos das del della di du des la le las los el al ul von van der den ter ten zu zur vom bin ibn bint
ben bar abu y e i und and et af av san santa mac mc dr prof mr mrs ms miss mx sir herr frau hr fr dipl ing
don dona sr sra srta mme mlle pan pani sig bay bayan jr ii iii iv phd md st
"""
_MONTHS = "may april june august augustus juni mai mayo avril abril march mart"
_ENGLISH = """
will mark bill art rob pat max rose grace hope faith joy sunny summer autumn winter dawn eve angel chance
drew jack dick frank guy rich sky star chase hunter miles dale glen brook heath forest cliff ray ruby pearl
amber jade crystal ivy daisy lily violet olive penny king prince duke earl judge page price power stone wood
woods brown white black green gray grey young long short little small best good day wise sharp strong love
cook baker mills hill hall lane field fields park ford west north south east english french welsh gene don
herb sue tad ward warren can in an so do al bo jo li ed my be on or us it is as at he me we no up go bishop
cooper fisher walker major case cash cross marsh banks rivers waters bell bush flowers
"""
_GERMANIC = """
ernst klein gross lang kurz neu wolf stern sommer herbst engel richter bauer koch schneider fischer becker
meister wunder rot weiss schwarz braun bach berg feld wald tal frei gut jung alt ende immer heute nadel
kaiser konig mann kind
"""
_ROMANCE = """
aime petit grand blanc roux noir rose france marin olive rouge amour dolores pilar luz paz sol mar cruz
angel dulce blanca rosa flor flores nieves rojo bueno mia sua tua gioia bianco verde costa vera luna stella
fiore gentile grande piccolo rocha lima
"""
_OTHER = """
kim kto pan moja deniz can gul umut baris ozgur savas yildiz gunes bulut yagmur toprak ates su kaya demir
altin polat sevgi mutlu bahar eylul ekim ask cinar irmak ruzgar onur
"""

PARTICLES: Final = frozenset(_PARTICLES.split())
"""Never a name alone, but part of one beside the others."""
MONTHS: Final = frozenset(_MONTHS.split())
"""Names that a month has: only beside another part."""
WORDS: Final = frozenset(" ".join((_ENGLISH, _GERMANIC, _ROMANCE, _OTHER)).split())
"""Names that stand alone only with a capital inside a sentence."""
