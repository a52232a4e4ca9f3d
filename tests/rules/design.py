"""The rules of the design that no module's docstring has: promises, the server, loading, writing, the wire."""

__all__ = ["DESIGN"]

DESIGN = {
    "promise.1": "For one key, while the server answers, at most one loader runs in the whole fleet at a time; the "
    "others wait and get the value.",
    "promise.2": "A value whose loader started before a removal was acknowledged is never served to a call that begins "
    "after it: by shared at once, by the instance that removed at once.",
    "promise.3": "A near answer is never older than max_staleness behind an acknowledged write, or offline_ttl while "
    "the instance says that it is offline.",
    "promise.4": "No fault of the cache reaches a caller, and a call costs at most one operation timeout.",
    "promise.5": "What a process removed while the server was unreachable stays so, and what the server forgot does "
    "not come back.",
    "promise.6": "The report says which driver is in use, why, since when, and what is at stake.",
    "promise.7": "Nobody changes your value, and a hit equals a miss.",
    "promise.8": "No setup is needed: nothing set is memory, a URL is shared.",
    "promise.9": "Sync and async behave alike.",
    # Keys on the server.
    "life.sent": "Lifetimes in near count from when the read or the store was sent, never from its answer.",
    "life.server": "The server keeps an entry for ttl + stale + a grace; freshness comes from what it says is left, "
    "and the last seconds are spent: not served.",
    "life.touch": "touch gives a fresh entry its new ttl, and leaves it its stale time.",
    "life.age": "How old an entry is follows from its ttl and what is left of it, never from a clock of another host.",
    "life.kept": "A loader may decide by its result: NoStore is not kept, Keep is kept for as long as it says.",
    "life.offline": "Each call may bound what near answers offline by its own offline_ttl, batches too.",
    "life.untracked": "Without tracking a near copy lives at most a second from when its read was sent.",
    "right.lease": "Where no entry is, who loads takes the lease, a placeholder in the entry's own key.",
    "right.claim": "Where an entry is to be replaced, who loads takes the claim; the entry stays meanwhile.",
    "right.ending": "An entry that ends at once is not replaced but waited for: its claim would outlive it.",
    "right.length": "A right is asked for as long as twice what such a load usually takes, within bounds.",
    "right.renewed": "A right is renewed at a third of its length while the loader runs; under a claim the entry, too.",
    "right.returned": "A right is given back on errors, cancellation and shutdown, and when its grant comes too late.",
    "right.by_hand": "A claim by hand is the same claim; in one process its users take turns, and nothing of it goes "
    "on after it was given back.",
    "right.by_hand_passed": "In a process a claim by hand passes from one to the next without a word to the server, "
    "for its ttl: then it is given back, and other processes come first.",
    "right.swap_first": "A claim is given back behind the store: who is woken by that finds the value.",
    "right.swap": "What was loaded replaces what its loader set out to replace, and nothing else.",
    "wait.watch": "Who waits registers before it reads, so that no news is missed.",
    "wait.timer": "Who waits has a timer of its own: a push may never come.",
    "wait.capped": "Every wait for others ends after load_wait; then the caller loads for itself and stores nothing.",
    "wait.load_timeout": "load_timeout bounds its caller's wait and not the load.",
    "script.noscript": "A script that the server forgot is sent once as a whole, unless a removal has overtaken it.",
    "script.full": "A script that stores lets the server refuse it when it is full.",
    "tag.captured": "The tags of an entry are captured before its loader runs.",
    "tag.random": "A tag that is missing gets a new random version, never a counter.",
    "tag.last": "The newest version of the tag on every entry is known across connections and event loops.",
    "namespace.own": "A namespace has a prefix and a clear() of its own.",
    # In a process.
    "flight.joined": "One load of a key in a process: who comes meanwhile joins it.",
    "flight.late": "Who joins a load without the server gets its value only if it is no older than near may be.",
    "flight.detached": "After a removal nobody joins a flight that began before it, and it answers its starter alone.",
    "flight.one": "While the server evicts, a process loads a key one at a time: who may not join a load outlasts it.",
    "flight.last": "A cancelled caller does not end the load for the others; the last one to leave does.",
    "flight.cycle": "A loader that waits for its own load is an error, not a deadlock.",
    "refresh.replaces": "refresh replaces what is there by lease or claim, never past a removal.",
    "refresh.once": "A background refresh replaces the entry it was begun for: what another has replaced meanwhile is "
    "not loaded again.",
    "refresh.pause": "After a failed background refresh the old value stays, and the next try comes after a pause.",
    "refresh.early": "A hit close to the end of an entry starts its refresh, if its caller allows that.",
    "batch.rights": "A batch waits for others only when it holds nothing.",
    "unconfirmed.bound": "What shared did not confirm lives offline_ttl from the start of its loader, and "
    "max_staleness while online.",
    "resort.offline": "Offline, when the loader fails too, an entry within its own life still answers.",
    "journal.owed": "What the server did not acknowledge is owed: neither read, joined nor filled until it is done.",
    "journal.own": "Offline a process sees what it wrote, whatever else is owed, until it removes or replaces it.",
    "add.away": "While the server is known to be away the first of a process to add wins, and what it stored is owed "
    "as a removal; while the server is only late nobody wins.",
    "journal.live": "What is owed is removed again on the live connection, too.",
    "journal.turns": "However much is refused, all that is owed has its turn on the live connection.",
    "journal.full": "A journal that is full owes everything: cold, but right.",
    "past.recent": "A removal that was acknowledged in the last minute of a server is repeated on one with another "
    "history.",
    "past.lost": "What a server that lost its past says is not believed, whatever it says.",
    "shake.order": "Handshake: what is owed is replayed before anything is read.",
    "shake.previous": "Handshake: the previous connection is ended, so that nothing of it comes late.",
    "wire.reset": "A connection that is given up is reset: its kernel sends nothing any more.",
    "wire.beat": "A question goes out in every third of max_staleness, also under load.",
    "wire.poll": "Before anything is judged overdue the socket is looked at: an own stall is no dead server.",
    "wire.overdue": "When its deadline has come a caller goes on, and its slot stays.",
    "wire.awake": "A clock that went on while the host slept makes no timer late.",
    "wire.secrets": "What a server says is shown without the password, which it may repeat.",
    "wire.idle": "A few connections in a row that the other end closed while nothing was asked are told as the work of "
    "a proxy; one or two are not.",
    "wire.errors": "An error reply does not close the connection, unless it is the wrong node.",
    "loop.moved": "A new event loop begins with new parts, and keeps what is owed.",
    "fork.child": "A forked child starts clean: it says no word on its parent's connection and owes nothing.",
    # Threads.
    "threads.handed": "Of the threads that wait one reads for all; when it has its answer the next one reads.",
    "threads.over": "What was read of a connection that was given up is not parsed.",
    "threads.reset": "Threads reset what they give up, too.",
    "threads.monitor": "Threads take turns in the rules, and hold up nobody while they wait.",
    "threads.interrupted": "What a signal throws into a wait comes from outside of the rules: none is half done.",
    "threads.overdue": "A thread that has waited for as long as it may judges the connection itself.",
    "threads.loader": "A thread's loader runs outside the rules.",
    "threads.alarm": "The link thread is up in time for what is to be done, such as a renewal of a lease.",
    "threads.refresh": "A refresh that was begun is run to its end, whatever its thread was about to do.",
}
