"""Options that other clients read in the same URL: ``REDIS_URL`` is often the job queue's, too.

Only options for the inner workings of another client are ignored: its pool, retries, timeouts, protocol, decoding,
names. An option for the server's address, the credentials or the TLS checks is never ignored: the connection would
differ from the one asked for.
"""

import re

__all__ = ["is_of_another_client"]

# redis-py, valkey-py and django-redis; kombu and Celery; go-redis; ioredis and node-redis; lettuce and Jedis; Symfony
# and predis. Written without "_" and "-" and in lower case, because each client has its own way to write words.
_NAMES = """
    sockettimeout socketconnecttimeout socketreadtimeout socketkeepalive socketkeepaliveoptions socketreadsize
    sockettype
    timeout connecttimeout connectiontimeout commandtimeout dialtimeout readtimeout writetimeout readwritetimeout
    pooltimeout idletimeout contexttimeoutenabled
    retry retryontimeout retryonerror retries maxretries minretrybackoff maxretrybackoff retrydelayonfailover
    retryinterval dialerretries dialerretrytimeout maxretriesperrequest retrystrategy maxloadingretrytime
    reconnectonerror
    maxconnections poolsize poolfifo pool poolclass connectionpoolclass minidleconns maxidleconns maxactiveconns
    connmaxidletime connmaxlifetime maxconnage idlecheckfrequency readbuffersize writebuffersize
    singleconnectionclient blocking persistent persistentid lazy lazyconnect
    healthcheckinterval pinginterval keepalive tcpkeepalive nodelay tcpnodelay enablereadycheck enableofflinequeue
    autoresubscribe autoresendunfulfilledcommands enableautopipelining showfriendlyerrorstack
    protocol legacyresponses maintnotifications maxredirects readonly
    encoding encodingerrors decoderesponses charset errors parserclass serializer compression compressor
    stringnumbers dropbuffersupport keyprefix
    clientname connectionname libname libversion driverinfo clientinfo libraryname libraryversion identitysuffix
    disableidentity disableindentity setinfo
    family addressfamily ipversion
    visibilitytimeout unackedrestorelimit fanoutprefix fanoutpatterns globalkeyprefix sep prioritysteps
    queueorderstrategy pollinginterval ackemulation
"""
_OF_OTHERS = frozenset(_NAMES.split())


def is_of_another_client(option: str) -> bool:
    """Return True if another client reads this option, and the option only affects how that client works.

    Example:
        >>> is_of_another_client("maxRetriesPerRequest"), is_of_another_client("ssl_ciphers")
        (True, False)
    """
    return re.sub("[_-]", "", option).lower() in _OF_OTHERS
