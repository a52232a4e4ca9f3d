"""What tests hold the verbs to, held against ``SyncCache`` and its ``aio``: one policy, so the same tests."""

import pytest

from tests.loading.test_broken_off import *  # noqa: F403 - as above
from tests.unit.api.test_reads_lookup import *  # noqa: F403 - as above
from tests.unit.api.test_verbs import *  # noqa: F403 - as above
from tests.unit.api.test_verbs_errors import *  # noqa: F403 - as above
from tests.unit.api.test_verbs_tags import *  # noqa: F403 - as above
from tests.unit.policy.test_batches import *  # noqa: F403 - as the first line says
from tests.unit.policy.test_claims import *  # noqa: F403 - as above
from tests.unit.policy.test_counters import *  # noqa: F403 - as above
from tests.unit.policy.test_reading import *  # noqa: F403 - as above
from tests.unit.policy.test_reading_faults import *  # noqa: F403 - as above

pytestmark = pytest.mark.usefixtures("pushes_at_once")
