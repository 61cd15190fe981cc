"""A little café, for trying things without a business of one's own."""

from typing import Final

from switchboard.database import Database
from switchboard.knowledge.put import put_document

CAFE: Final = {
    "Opening hours": (
        "We are open Monday to Friday from 7:30 to 18:00, Saturday from 8:30 to 17:00, Sunday from 9:00 to 14:00.\n\n"
        "On public holidays we open at 9:00 and close at 14:00. The kitchen closes one hour before the café."
    ),
    "Coffee and prices": (
        "An espresso costs 2.40, a cappuccino 3.60 and a flat white 3.90. Oat, soy and almond milk cost nothing.\n\n"
        "All our coffee can be made decaf. We roast our beans ourselves; a bag of 250 g costs 9.50."
    ),
    "Food and allergies": (
        "We bake croissants and cinnamon buns every morning. Our soup of the day and the banana bread are vegan.\n\n"
        "The brownie and the almond cake are gluten free. All cakes may contain traces of nuts."
    ),
    "Reservations": (
        "You can reserve a table for up to eight people by writing to us here with the day, the time and the number of"
        " guests. For larger groups please ask for a colleague.\n\n"
        "Dogs are welcome, and we have high chairs for children."
    ),
    "Payment and Wi-Fi": (
        "We take cash, cards and contactless payment. We do not take cheques.\n\n"
        "The Wi-Fi is free: choose the network CafeGuest; the password is on your receipt."
    ),
}
"""What the café knows, by title."""


async def put_cafe(database: Database, workspace_id: int) -> None:
    """Stores the café's documents in a workspace."""
    for title, text in CAFE.items():
        await put_document(database, workspace_id, title, text)
