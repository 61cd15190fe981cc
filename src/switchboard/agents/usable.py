"""Whether an agent's model can be asked at all: it is refused when it is set, not when a customer waits."""

from switchboard.database import Database
from switchboard.errors import Invalid, ProviderMisconfigured
from switchboard.providers.registry import Providers


async def check_model(
    database: Database, providers: Providers, workspace_id: int, model: str | None, *, public: bool
) -> None:
    """Raises `Invalid`, naming what may be used, for a provider that neither we nor the workspace has a key for.

    ``public``: it is to answer for other workspaces, which do not have its workspace's keys.
    """
    if model is None:
        return
    rows = await database.select("provider_keys", columns=["provider"], where={"workspace_id": workspace_id})
    own: set[str] = set() if public else {row["provider"] for row in rows}
    if model.partition(":")[0] in own:
        return
    try:
        providers.alone(model)
    except ProviderMisconfigured as error:
        usable = ", ".join(sorted({*providers.by_name, *own}))
        message = f"{error.message} Usable here: {usable}."
        raise Invalid(message, errors=[{"field": "model", "message": message}]) from error
