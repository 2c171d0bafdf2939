/* A model, for SPIN, of the program as PID 1, its children, and the signals that the kernel delivers to it.
 * The program's steps are its system calls, in the order that `cargo xtask prove` shows of the machine code. A comment
 * with "Fact" repeats what that proof shows. The other steps are Linux': signal(7), wait(2), kernel/signal.c and
 * kernel/exit.c. Assumed: the kernel accepts the handlers and the mask. `signals.txt` lists the properties, and the
 * faults of the program, each of which makes a property fail: `cargo xtask prove` defines FAULT as one of these. */

mtype = { PROGRAM, NO_REAP_AT_START, NO_UNBLOCK, REAP_FIRST, REAP_ONE, FALL_THROUGH, NO_NOCLDSTOP, ENDLESS }
#define CHILDREN 3      /* At most. */
#define MAIN 0          /* No handler runs, */
#define INT 1           /* or the handler of this signal. Signals are bits of a set. */
#define TERM 2
#define CHLD 4
byte blocked, handled, pending; /* Sets of signals: two pending signals of a kind are one. */
bool chld_ignored;      /* At the start, until SIGCHLD has a handler. */
byte orphans;           /* Not the program's children yet. */
byte living, zombies;   /* The program's children, own or adopted. wait4 may return any zombie, so none has a name. */
byte depth, running[4]; /* The stack of handlers on top of MAIN. */
byte old_mask;          /* Restored by SIGCHLD's handler, the only one that returns. */
bool asleep, exited;
#define deliverable (pending & ~blocked)
#define runs(who) (running[depth] == who && !exited)
#define step(who, effect) atomic { runs(who) -> effect }

/* PID 1 loses a signal without a handler, unless it is blocked: it may have a handler when it is unblocked. */
inline send(signals) { pending = pending | ((signals) & (blocked | handled)) }

/* A child dies, or a dead orphan is adopted. If SIGCHLD is ignored, the kernel reaps it. */
inline die() { if :: chld_ignored && !(handled & CHLD) :: else -> zombies++; send(CHLD) fi }

/* Other processes do any of this, in any order, any number of times. */
proctype others() {
    do
    :: atomic { !exited -> send(TERM) }
    :: atomic { !exited -> send(INT) }
    :: atomic { !exited && orphans > 0 -> orphans--; living++ }
    :: atomic { !exited && orphans > 0 -> orphans--; die() }
    :: atomic { !exited && living > 0 -> living--; die() }
    /* A child stops or continues. Fact: SIGCHLD's handler is installed with SA_NOCLDSTOP. */
    :: atomic { !exited -> send(CHLD & (FAULT == NO_NOCLDSTOP -> CHLD : ~handled)) }
    od
}

/* Fact: sa_mask is empty, without SA_NODEFER. So a handler blocks its own signal, and the others interrupt it. */
inline deliver(signal) {
    pending = pending & ~signal;
    if :: handled & signal -> depth++; running[depth] = signal; asleep = false;
        old_mask = (signal == CHLD -> blocked : old_mask); blocked = blocked | signal
    :: else fi
}

/* Signals are delivered in any order and, unless the program sleeps, after any number of steps. Linux is stricter. */
proctype kernel() {
    do
    :: atomic { (deliverable & INT) && !exited -> deliver(INT) }
    :: atomic { (deliverable & TERM) && !exited -> deliver(TERM) }
    :: atomic { (deliverable & CHLD) && !exited -> deliver(CHLD) }
    od
}

/* Fact: wait4(-1, WNOHANG) is called again if and only if it returned a child. */
inline reap(who) {
    do /* ENDLESS is not a fault: children come without end, up to CHILDREN at a time. */
    :: atomic { runs(who) && zombies > 0 -> zombies--; orphans = (FAULT == ENDLESS -> orphans + 1 : orphans);
           if :: FAULT == REAP_ONE -> break :: else fi }
    :: atomic { runs(who) && zombies == 0 -> break }
    od
}

/* Fact: SIGCHLD's handler reaps and returns. */
proctype sigchld() {
    do
    :: reap(CHLD); if :: FAULT == FALL_THROUGH -> step(CHLD, exited = true) :: else fi;
       step(CHLD, blocked = old_mask; old_mask = 0; running[depth] = MAIN; depth--)
    od
}

/* Fact: SIGTERM's and SIGINT's handler writes its message or drops it, which takes time, and exits with 0. */
proctype shut_down(byte signal) { step(signal, exited = true) }

init { /* The program, which starts with anything that survives exec. */
    atomic {
        select(blocked : 0 .. 7); select(pending : 0 .. 7); pending = pending & blocked;
        select(living : 0 .. CHILDREN); select(zombies : 0 .. CHILDREN - living); orphans = CHILDREN - living - zombies;
        if :: chld_ignored = true :: chld_ignored = false fi;
        run others(); run kernel(); run sigchld(); run shut_down(TERM); run shut_down(INT)
    }
    if :: FAULT == REAP_FIRST -> reap(MAIN) :: else fi;
    step(MAIN, handled = handled | TERM); /* Fact: it installs SIGTERM's handler first, */
    step(MAIN, handled = handled | INT);  /* then SIGINT's, */
    step(MAIN, handled = handled | CHLD); /* then SIGCHLD's; */
    step(MAIN, blocked = (FAULT == NO_UNBLOCK -> blocked : 0)); /* unblocks all signals; */
    if :: FAULT == NO_REAP_AT_START || FAULT == REAP_FIRST :: else -> reap(MAIN) fi; /* reaps; */
    step(MAIN, skip);                     /* calls getpid and, as PID 1, writes no warning; */
    do                                    /* pauses, again whenever it wakes up. A pending signal ends the pause. */
    :: atomic { runs(MAIN) && !deliverable -> asleep = true }; atomic { runs(MAIN) && !asleep }
    od
}

ltl no_zombie_asleep { [] (asleep && !(deliverable & CHLD) -> zombies == 0) }
ltl child_reaped { [] (zombies > 0 -> <> (zombies == 0 || exited)) }
ltl exits_when_asked { [] ((pending & (TERM | INT)) -> <> exited) }
ltl exits_only_when_asked { [] (exited -> running[depth] == TERM || running[depth] == INT) }
ltl wakes_for_dead { [] (asleep && (deliverable & CHLD) -> zombies > 0) }
ltl sleeps_again { [] <> (asleep || exited) }
ltl never_nested { [] (depth < 3) }
ltl always_exits { <> exited }
