"""What ``tests/core`` holds the verbs to, held against ``SyncCache`` and its ``aio``: one policy, so the same tests."""

import pytest

from tests.core.test_batches import *  # noqa: F403 - as the first line says
from tests.core.test_broken_off import *  # noqa: F403 - as above
from tests.core.test_claims import *  # noqa: F403 - as above
from tests.core.test_counters import *  # noqa: F403 - as above
from tests.core.test_lookup import *  # noqa: F403 - as above
from tests.core.test_policy_faults import *  # noqa: F403 - as above
from tests.core.test_policy_table import *  # noqa: F403 - as above
from tests.core.test_verbs import *  # noqa: F403 - as above
from tests.core.test_verbs_errors import *  # noqa: F403 - as above
from tests.core.test_verbs_tags import *  # noqa: F403 - as above

pytestmark = pytest.mark.usefixtures("pushes_at_once")
