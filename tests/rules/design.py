"""The rules of the design that no module's docstring has: promises, the server, loading, writing, the wire."""

__all__ = ["DESIGN"]

DESIGN = {
    "promise.1": "For one key, while the server answers, at most one loader runs in the whole fleet at a time; the "
    "other callers wait and get its value.",
    "promise.2": "A value whose loader started before a removal was acknowledged is never served to a call that begins "
    "after it: by shared at once, by the removing instance at once.",
    "promise.3": "A near answer is never older than max_staleness behind an acknowledged write, or offline_ttl while "
    "the instance says that it is offline.",
    "promise.4": "No fault of the cache reaches a caller, and a call costs at most one operation timeout; if it must "
    "load while the server is only late, one more.",
    "promise.5": "A removal made while the server was unreachable lasts, and so does a removal that the server forgot.",
    "promise.6": "Health reports the driver in use, the reason, the time and the impact.",
    "promise.7": "No caller changes another's value, and a hit equals a miss.",
    "promise.8": "No setup is needed: without a setting the cache is in memory, with a URL it is shared.",
    "promise.9": "Sync and async behave alike.",
    # Keys on the server.
    "life.sent": "Lifetimes in near count from the time at which the read or the store was sent, never from its "
    "answer.",
    "life.server": "The server keeps an entry for ttl + stale + a grace; its remaining life decides the freshness, and "
    "an entry in its last seconds is not served.",
    "life.touch": "touch gives a fresh entry a new ttl, and keeps its stale time.",
    "life.age": "The age of an entry follows from its ttl and its remaining life, never from the clock of another "
    "host.",
    "life.kept": "A loader may decide by its result: NoStore is not stored, Keep is kept for its own times.",
    "life.jitter": "A load and set_many store an entry for up to CACHE_TTL_JITTER less than its ttl, never for longer, "
    "and for the same time in both tiers; set, add, incr, touch, Keep(ttl=) and the adapters are exact.",
    "life.offline": "Each call may bound near's offline answers by its own offline_ttl, batches too.",
    "life.untracked": "Without tracking, a near copy lives at most a second from the time at which its read was sent.",
    "right.lease": "If there is no entry, the loading caller takes the lease, a placeholder in the entry's own key.",
    "right.claim": "To replace an entry, the loading caller takes the claim; the entry stays until then.",
    "right.ending": "A caller does not replace an entry that ends at once, but waits for its end: the claim would "
    "outlive it.",
    "right.length": "A right is requested for twice the usual time of its load, within bounds.",
    "right.renewed": "A right is renewed at a third of its length while the loader runs; under a claim the entry, too.",
    "right.returned": "A right is released on errors, cancellation and shutdown, and when its grant comes too late.",
    "right.by_hand": "A manual claim is the same claim; in one process its users take turns, and no part of it runs "
    "after its release.",
    "right.by_hand_passed": "In a process a manual claim passes from one user to the next without a command, for its "
    "ttl: then it is released, and other processes come first.",
    "right.swap_first": "A claim is released after the store, so that a woken waiter finds the value.",
    "right.swap": "A loaded value replaces the entry that its load set out to replace, and no other.",
    "wait.watch": "A waiter registers before it reads, so that it misses no change.",
    "wait.cheap": "An instance that waits for another's load reads the key once when it comes and once when it is "
    "woken, and asks for the lease at most once in between.",
    "wait.server": "While the server is only late, a load waits until nearly an operation timeout has passed, and "
    "looks again when the server answers.",
    "wait.timer": "Each waiter has its own timer, because a push may never come.",
    "wait.capped": "Every wait for another load ends: after load_wait one process of the fleet loads beside it, after "
    "twice that time each process does, and stores nothing.",
    "wait.load_timeout": "load_timeout bounds its caller's wait, and not the load.",
    "script.noscript": "A script that the server forgot is sent once as a whole, unless a removal has overtaken it.",
    "script.full": "A full server can refuse each script that stores.",
    "tag.captured": "The tags of an entry are captured before its loader runs.",
    "tag.random": "A missing tag gets a new random version, never a counter.",
    "tag.last": "The newest version of the tag on every entry is known across connections and event loops.",
    "namespace.own": "A namespace has its own prefix and its own clear().",
    # In a process.
    "flight.joined": "A process has one load of a key: later callers join it.",
    "flight.late": "A caller that joins a load without the server gets its value only within the bound of near's age.",
    "flight.detached": "After a removal no caller joins a flight that began before it, and the flight answers only its "
    "starter.",
    "flight.one": "While the server evicts, a process loads a key one at a time: a caller that may not join a load "
    "waits for its end.",
    "free.cycles": "No call leaves a reference cycle: what it wrote or loaded is freed with it.",
    "flight.last": "A cancelled caller does not end the load for other callers; the last one that leaves does.",
    "flight.cycle": "A loader that waits for its own load is an error, not a deadlock; two loads that only wait their "
    "turn never wait for each other.",
    "refresh.replaces": "refresh replaces the entry by lease or claim, never past a removal.",
    "refresh.once": "A background refresh replaces the entry that it began with: a key that another instance has just "
    "refreshed is not loaded again.",
    "refresh.pause": "After a failed background refresh the old value stays, and the next try comes after a pause.",
    "refresh.early": "A hit close to the end of an entry starts its refresh, if its caller allows it.",
    "batch.rights": "A batch waits for other loads only while it holds no right.",
    "unconfirmed.bound": "A value that shared did not confirm lives offline_ttl from the start of its loader, and "
    "max_staleness while online.",
    "resort.offline": "Offline, when the loader fails too, an entry within its own life still answers.",
    "journal.owed": "A removal without an acknowledgement is pending: until it is done, its key is neither read, "
    "joined nor filled.",
    "journal.own": "Offline, a process sees its own writes, even with other removals pending, until it removes or "
    "replaces them.",
    "add.away": "While the server is known to be away, the first add of a process wins, and a removal of its entry is "
    "pending; while the server is only late, no add wins.",
    "journal.live": "Pending removals are repeated on the live connection, too.",
    "journal.turns": "On the live connection each pending removal has its turn, even if many are refused.",
    "journal.full": "A full journal holds one pending removal of everything: the cache is cold, but correct.",
    "past.recent": "A removal acknowledged in the last minute of a server is repeated on a server with another "
    "history.",
    "past.lost": "A server that lost its past is not trusted.",
    "shake.order": "Handshake: pending removals are replayed before the first read.",
    "shake.step": "Handshake: each step has its own deadline, because a server answers each of thousands late.",
    "shake.known": "Handshake: the tag read with the questions counts only if nothing is to be sent and no push came.",
    "shake.scripts": "Handshake: only the scripts that the server lacks are sent.",
    "shake.waiting": 'Handshake: a server that says "not yet" is asked again with a growing, random pause.',
    "shake.previous": "Handshake: the previous connection is ended, so that none of its bytes come late.",
    "wire.reset": "A dropped connection is reset: its kernel sends no more bytes.",
    "wire.beat": "A command goes out in every third of max_staleness, even under load.",
    "wire.poll": "Before a timeout the socket is checked: this process's own stall must not look like a dead server.",
    "wire.overdue": "At its deadline a caller continues, and its slot stays.",
    "wire.awake": "A clock that went on while the host slept makes no timer late.",
    "wire.secrets": "A server's message is shown without the password, which it may repeat.",
    "wire.idle": "A few connections in a row that the other end closed while idle are reported as the work of a proxy; "
    "one or two are not.",
    "wire.errors": "An error reply does not close the connection, unless it comes from the wrong node.",
    "loop.moved": "A new event loop begins with new parts, and keeps the pending removals.",
    "fork.child": "A forked child starts clean: it sends nothing on its parent's connection and has no pending "
    "removal.",
    # Threads.
    "threads.handed": "One of the waiting threads reads for all; when it has its answer, the next one reads.",
    "threads.idle": "While a caller reads for long, the link thread sleeps; the caller wakes it at its end.",
    "threads.over": "Bytes read from a dropped connection are not parsed.",
    "threads.reset": "Threads reset a dropped connection, too.",
    "threads.monitor": "Threads take turns in the rules, and hold up no other thread while they wait.",
    "threads.interrupted": "A signal's exception in a wait comes from outside of the rules: no rule is half done.",
    "threads.overdue": "A thread that has waited for its whole timeout judges the connection itself.",
    "threads.loader": "A thread's loader runs outside the rules.",
    "threads.alarm": "The link thread wakes in time for its next task, such as the renewal of a lease.",
    "threads.refresh": "A refresh that was begun is run to its end, whatever its thread was about to do.",
}
