"""Proves that the machine code that ships does what docs/contract.md says, for every argument and every kernel answer.

The code runs symbolically: registers, memory and answers are formulas, about which a solver decides each question. A
loop is cut at its head: what a pass changes is forgotten, and one more pass stands for all of them. Each path from one
cut to the next is compared with the contract, which stands below as functions. docs/tests.md explains it on a page.
"""

import json
import logging
import re
import signal
import sys
import tomllib
from collections import namedtuple
from io import BytesIO
from types import SimpleNamespace

logging.disable(logging.CRITICAL)  # angr complains about engines that it lacks, when it is imported

import angr  # noqa: E402
import claripy  # noqa: E402
from archinfo import ArchPcode, arch_from_id  # noqa: E402
from claripy import ULE, ULT, And, If, Not, Or  # noqa: E402

BASE = {32: 0xB65D0000, 64: 0x7F12B65D0000}  # where the file is, by bits; the program is position-independent
STACK = 1024  # the program may use so many bytes of stack
LONGEST = 1000  # a path without a loop has fewer instructions
SECONDS = 120  # a proof may take so much of the processor's time
SIGINT, SIGTERM, SIGCHLD, SIG_SETMASK = 2, 15, 17, 2
STDOUT, STDERR, WNOHANG, POLLOUT, SA_NOCLDSTOP, SA_RESTORER = 1, 2, 1, 4, 1, 0x04000000
ARCHES = tomllib.load(open("tests/prove/arches.toml", "rb"))
# A system call, the stack pointer at it, and what its arguments point to; or a look at an element of argv.
Call = namedtuple("Call", "name arguments answer stack memory")
# A place that the kernel starts the program at: the stack pointer there, how many bytes above may be written, the place
# of the sigaction, the number of arguments, a handler's argument, and the address that it returns to.
Root = namedtuple("Root", "address stack frame action argc signal back", defaults=[0, range(0), None, None, None])


class Refused(Exception):
    """A sentence that doesn't hold."""


class Unknown(Exception):
    """An instruction that the engine doesn't know. Another engine may."""


def s390_condition(_state, mask, operation, left, right, _more):
    """Evaluates condition codes of s390x, which angr lacks: after a logical operation, and after comparisons."""
    right = right if plain(operation) else claripy.BVV(0, 64)
    below = (left != 0, left.SLT(right), ULT(left, right))[plain(operation)]
    code = If(left == right, claripy.BVV(8, 64), If(below, claripy.BVV(4, 64), claripy.BVV(2, 64)))
    return If(mask & code != 0, claripy.BVV(1, 32), claripy.BVV(0, 32))


angr.engines.vex.claripy.ccall.s390_calculate_cond = s390_condition


def fresh(name, size):
    """Returns a value of that many bytes about which nothing is known."""
    return claripy.BVS(name, size * 8)


def plain(value):
    """Returns the number that a formula always has, or else the formula."""
    value = claripy.simplify(value) if value.symbolic else value
    return value if value.symbolic else value.concrete_value


def ordered(parts, endness):
    """Puts bytes in the order of a number, or back."""
    return parts[::-1] if endness == "Iend_LE" else parts


class Path(angr.SimStatePlugin):
    """A path from one cut to the next, and the memory on it: the file, the stack and argv. Other places are refused."""

    def __init__(self, proof, root):
        super().__init__()
        self.proof, self.root = proof, root
        self.stack = {}  # bytes that the program has written, or was given, by their place
        self.strings = ()  # elements of argv, and the first bytes of each
        self.left = root.argc  # how many arguments are left, and the program's name
        self.events = []  # calls since the last cut
        self.end = None  # the cut where it ends, or None if it returns to the kernel

    @angr.SimStatePlugin.memo
    def copy(self, _memo):
        new = Path(self.proof, self.root)
        new.stack, new.strings, new.left, new.events = dict(self.stack), self.strings, self.left, [*self.events]
        return new

    def place(self, address, size=1):
        """Returns an address as a formula, as a number, and as a place on the stack. The latter may be None."""
        address = claripy.BVV(address, self.proof.bits) if isinstance(address, int) else address
        at, offset, bits = plain(address), plain(address - self.root.stack), len(address)
        offset = offset - (offset >> bits - 1 << bits) if isinstance(offset, int) else None
        at = at if isinstance(at, int) else None
        if self.proof.arch.aligned:
            known = [place % min(size, self.proof.word) == 0 for place in (at, offset) if place is not None]
            self.proof.require(all(known), "reads and writes only at multiples of the size")
        return address, at, offset

    def load(self, address, size, endness=None, **_):
        proof, (address, at, offset) = self.proof, self.place(address, size)
        if at is not None:
            content = proof.read(at, size, "reads nothing but the file, the stack and argv")
            return claripy.BVV(ordered(content, endness))
        if offset is not None:
            for at in range(offset, offset + size):
                proof.require(at in self.stack or at in self.root.action, "reads only what it wrote to the stack")
                self.stack.setdefault(at, fresh("environment", 1))
            return claripy.Concat(*ordered([self.stack[at] for at in range(offset, offset + size)], endness))
        for pointer, content in self.strings:
            at = plain(address - pointer)
            if isinstance(at, int):
                known = at + size <= len(content) and (size == 1 or not proof.arch.aligned)
                proof.require(known, "reads at most the first four bytes of an argument")
                return claripy.Concat(*ordered(content[at : at + size], endness))
        # An element of argv, whose index differs from pass to pass. The program may overwrite argv afterwards.
        whole = self.left is not None and self.stack.keys().isdisjoint(self.root.action)
        proof.require(whole and size == proof.word, "reads nothing but the file, the stack and argv")
        offset = address - self.root.stack - proof.word
        index = claripy.LShR(offset, proof.word.bit_length() - 1)
        inside = And(offset == index * proof.word, index != 0, ULT(index, self.root.argc))
        self.check(inside, "reads argv only at the index of an argument")
        pointer, content = fresh("pointer", proof.word), [fresh("string", 1) for _ in range(4)]
        self.strings += ((pointer, content),)
        self.events.append(Call("argument", [index], None, None, content))
        return pointer

    def store(self, address, data, endness=None, condition=None, **_):
        data = data if condition is None else If(condition, data, self.load(address, len(data) // 8, endness))
        parts = ordered(data.chop(8), endness)
        offset = self.place(address, len(parts))[2]
        places = [-STACK - 1] if offset is None else range(offset, offset + len(parts))
        mine = all(-STACK <= at < self.root.frame or at in self.root.action for at in places)
        self.proof.require(mine, "writes nothing but its stack and the sigaction")
        self.stack.update(zip(places, parts))

    def decides(self, condition, sentence):
        """Returns whether the condition holds. A path on which it may or may not is refused."""
        holds = self.proof.holds(self.state, condition)
        self.proof.require(holds or self.proof.holds(self.state, Not(condition)), sentence)
        return holds

    def check(self, claim, sentence):
        self.proof.require(self.proof.holds(self.state, claim), sentence)

    def call(self, name, arguments, sentence):
        """Returns the next event. It must be this one; an argument of None may be anything."""
        self.proof.require(self.events and self.events[0].name == name, sentence)
        call, *self.events = self.events
        for given, wanted in zip(call.arguments, arguments):
            self.check(claripy.true() if wanted is None else given == wanted, sentence)
        return call


# The contract. Each function follows a path, and returns the function for the next one: for the same if the path ends
# at the cut where it began, None if it returns to the kernel.


def look(path):
    """The loop over the arguments, from the last one, and what follows."""
    if not path.decides(claripy.UGE(path.left, 2), "looks at every argument but the program's name"):
        return install(path)
    text = path.call("argument", [path.left - 1], "looks at the arguments one by one").memory
    wanted = Or(*(And(*(byte == value for byte, value in zip(text, form))) for form in (b"-v\0", b"-V\0")))
    if not path.decides(wanted, "takes -v and -V, and nothing else, for a request for the version"):
        return look
    say(path, STDOUT, "version")
    return exits(0, "exits with 0 after the version")


def say(path, file, name):
    """A message, if poll's result is exactly POLLOUT."""
    sentence = f"polls the right file for the message {name}, without waiting"
    descriptor, events, before, after = path.call("poll", [None, 1, 0], sentence).memory
    path.check(And(descriptor == file, events == POLLOUT), sentence)
    path.check(before == 0, "writes nothing after a poll that fails")
    text = path.proof.messages[name].encode()
    if path.decides(after == POLLOUT, f"writes the message {name} if and only if poll's result is exactly POLLOUT"):
        call = path.call("write", [file, None, len(text)], f"writes the message {name} to the right file")
        path.proof.require(call.memory == text, f"writes the message {name} to the letter")


def install(path):
    """The handlers, and what may survive exec."""
    restorer = path.proof.arch.restorer
    for number, status, name in (SIGTERM, 2, "SIGTERM"), (SIGINT, 1, "SIGINT"), (SIGCHLD, 3, "SIGCHLD"):
        call = path.call("rt_sigaction", [number, None, 0, 8], f"installs the handler for {name} in its turn")
        handler, flags, restores, mask = call.memory
        wanted = And(flags == SA_NOCLDSTOP | (SA_RESTORER if restorer else 0), mask == 0)
        path.check(wanted, "ignores stopped children, and masks no signal in a handler")
        path.proof.handlers.add((plain(handler), plain(restores) if restorer else None))
        path.proof.require(len(path.proof.handlers) == 1, "has one handler for all three signals")
        if path.decides(call.answer[31:0] != 0, f"notices if the handler for {name} can't be installed"):
            return exits(status, f"exits with {status} if the handler for {name} can't be installed")
    sentence = "unblocks all signals after it has installed its handlers"
    path.check(path.call("rt_sigprocmask", [SIG_SETMASK, None, 0, 8], sentence).memory[0] == 0, sentence)
    return reap_first


def reaps(path):
    """A pass through the loop over children that have died. Returns whether there is another."""
    call = path.call("wait4", [-1, 0, WNOHANG, 0], "reaps any child, without waiting")
    return path.decides(claripy.SGT(call.answer[31:0], 0), "reaps again if and only if it has reaped a child")


def reap_first(path):
    if reaps(path):
        return reap_first
    call = path.call("getpid", [], "asks for its process ID after the children")
    if path.decides(call.answer[31:0] != 1, "warns if and only if it isn't PID 1"):
        say(path, STDERR, "warning")
    return sleep


def sleep(path):
    path.call("pause", [], "sleeps, and does nothing else whenever it wakes up")
    return sleep


def exits(status, sentence):
    def loop(path):
        path.call("exit", [status], sentence + ", again if that fails")
        return loop

    return loop


def handle(path):
    """The handler of all three signals."""
    if path.decides(path.root.signal == SIGCHLD, "reaps on SIGCHLD only"):
        return handle if reaps(path) else None
    name = "interrupt" if path.decides(path.root.signal == SIGINT, "knows SIGINT from SIGTERM") else "terminated"
    say(path, STDERR, name)
    return exits(0, f"exits with 0 after the message {name}")


def restore(path):
    """The end of a handler, if the program has the code for it."""
    call = path.call(path.proof.arch.restorer, [], "ends a handler with the system call for it, again if that fails")
    # On 386, the kernel expects that the argument was popped.
    wanted = path.root.stack if path.proof.arch.signal else path.root.stack + path.proof.word
    path.check(call.stack == wanted, "leaves the kernel's frame in its place")
    return restore


class Proof:
    """The proof of one file with one engine."""

    def __init__(self, program, engine):
        self.arch = SimpleNamespace(**ARCHES["default"] | ARCHES[program["architecture"]])
        self.file, self.messages, self.entry = bytes(program["file"]), program["messages"], program["entry"]
        make, options = (ArchPcode, {"engine": angr.engines.UberEnginePcode}) if engine != "VEX" else (arch_from_id, {})
        arch = make(ARCHES[program["architecture"]][engine])
        # The engine gets each instruction's bytes from `step`.
        self.project = angr.Project(BytesIO(b"\0"), main_opts={"backend": "blob", "arch": arch}, **options)
        self.bits, self.word, self.base, self.endness = arch.bits, arch.bits // 8, BASE[arch.bits], arch.memory_endness
        self.code = {at for place in program["functions"] for at in range(place["start"], place["end"])}
        self.names = {number: name for name, number in self.arch.calls.items()}
        self.trap = [bytes.fromhex(code) for code in self.arch.trap]
        self.registers = arch.registers | (self.arch.hidden if engine == "VEX" else {})
        # The largest registers, of which all others are parts, without the instruction pointer.
        self.whole, self.listed = [], set(range(arch.ip_offset, arch.ip_offset + self.word))
        for name, (start, size) in sorted(self.registers.items(), key=lambda register: -register[1][1]):
            if self.listed.isdisjoint(range(start, start + size)):
                self.whole.append(name)
                self.listed.update(range(start, start + size))
        self.cuts, self.at = set(), self.entry

    def holds(self, state, claim):
        claim = claripy.simplify(claim)
        return claim.is_true() or not (claim.is_false() or state.solver.satisfiable(extra_constraints=[Not(claim)]))

    def require(self, claim, sentence, detail=""):
        self.checks += 1
        self.facts.add(sentence)
        if not claim:
            raise Refused(f"at {self.at:#x}, this doesn't hold: the program {sentence}{detail}")

    def read(self, address, size, sentence):
        """Returns bytes of the file."""
        at = address - self.base
        self.require(0 <= at <= len(self.file) - size, sentence)
        self.touched.update(range(at, at + size))
        return self.file[at : at + size]

    def run(self):
        """Proves everything, from each place that the kernel starts the program at."""
        self.facts, self.checks, self.paths = set(), 0, 0
        self.handlers, self.touched, self.instructions = set(), set(), {}
        word, arch = self.word, self.arch
        # argc is on top of the stack, and argv follows. Both places may be overwritten.
        action = range(word, word + arch.mask * word + 8)
        root = Root(self.entry, fresh("stack", word), word, action, fresh("argc", word))
        state = self.start(root, {0: root.argc}, {})
        state.solver.add(ULT(root.argc, 1 << self.bits - 4))
        self.visit(state, look)

        [(handler, restorer)] = self.handlers
        known = [isinstance(place, int) for place in (handler, restorer) if place is not None]
        self.require(all(known), "installs the same handler in every case")
        number, back = fresh("signal", word), claripy.BVV(restorer, self.bits) if arch.restorer else fresh("back", word)
        root = Root(handler - self.base, fresh("stack", word), arch.frame, signal=number, back=back)
        words = {} if arch.link else {0: back} | ({} if arch.signal else {word: number})
        state = self.start(root, words, {arch.link: back, arch.signal: number})
        state.solver.add(Or(*(number == each for each in (SIGINT, SIGTERM, SIGCHLD))))
        if arch.link:
            state.solver.add(back & 3 == 0)  # the kernel's code is aligned
        self.visit(state, handle)
        if arch.restorer:
            root = Root(restorer - self.base, fresh("stack", word), 0 if arch.signal else word)
            self.visit(self.start(root, {} if arch.signal else {0: number}, {}), restore)

        missed = sorted(self.code - self.touched)
        idle = re.fullmatch(arch.idle.encode(), bytes(self.file[at] for at in missed), re.DOTALL)
        self.require(idle, "reaches every instruction", ": not those at " + " ".join(map(hex, missed)))

    def start(self, root, words, registers):
        """Returns the state at a root: these words on the stack, and anything in all registers but these."""
        state = angr.SimState(self.project, add_options={angr.options.LAZY_SOLVES})
        state.register_plugin("memory", Path(self, root))
        state.regs.ip = self.base + root.address
        given = {"zero": 0, self.arch.stack: root.stack, self.arch.itself: self.base + root.address} | registers
        for name in self.registers.keys() & given.keys():
            self.put(state, name, claripy.BVV(0, self.bits) + given[name])
        for at, value in words.items():
            state.memory.stack.update(zip(range(at, at + self.word), ordered(value.chop(8), self.endness)))
        return state

    def visit(self, state, contract):
        """Proves that everything from a cut on follows the contract."""
        for end in self.passes(state):
            self.paths += 1
            path = end.memory
            goes_on = path.end not in (state.addr, None)
            # Nothing has happened between the two cuts.
            after = contract if goes_on and not path.events else contract(path)
            self.require(not path.events, "makes no other system call")
            path.left = path.left if after is look else None  # no other loop reads arguments, or counts them
            ends = {None: path.end is None, contract: goes_on or path.end == state.addr}.get(after, goes_on)
            self.require(ends, "repeats what the contract repeats, and nothing else")
            if goes_on:
                self.visit(end, after)

    def passes(self, state):
        """Returns the paths from a cut on, in any pass through its loop. What a pass changes is forgotten, unless
        this holds: with n arguments left, a pass begins with what the one before would hold if it had n + 1.
        """
        count, forgotten = fresh("left", self.word) if state.memory.left is None else state.memory.left, set()
        while True:
            head, left = state.copy(), fresh("left", self.word)
            head.memory.events, head.memory.left = [], None if state.memory.left is None else left
            head.solver.add(ULE(left, count))
            for place, value in self.places(state).items():
                self.put(head, place, claripy.replace(value, count, left))
            for place in forgotten:
                self.put(head, place, fresh(str(place), self.registers.get(place, (0, 1))[1]))
            before, changed = self.places(head), set()
            paths = self.walk(head)
            for end in [end for end in paths if end.memory.end == head.addr]:
                after = self.places(end)
                self.require(end.registers.changed_bytes(head.registers) <= self.listed, "uses listed registers only")
                changed |= {place for place in after.keys() - before.keys() if place in state.memory.root.action}
                for place in before.keys() - forgotten - changed:
                    value, new = claripy.replace(before[place], left, left - 1), after.get(place)
                    if new is not value and (new is None or not self.holds(end, new == value)):
                        changed.add(place)
            if not changed:
                return paths
            forgotten |= changed

    def places(self, state):
        """Returns the contents of all registers and of the stack."""
        return {name: state.registers.load(*self.registers[name]) for name in self.whole} | state.memory.stack

    def put(self, state, place, value):
        """Changes a register, or a byte on the stack."""
        if place in self.registers:
            state.registers.store(self.registers[place][0], value, len(value) // 8)
        else:
            state.memory.stack[place] = value

    def walk(self, head):
        """Runs from a cut to the next ones, and once more for each new one."""
        todo, paths = [(head.copy(), 0)], []
        while todo:
            state, length = todo.pop()
            if length and state.addr in self.cuts:
                paths.append(state)
                state.memory.end = state.addr
                continue
            at = self.at = state.addr - self.base
            self.require(at in self.code, "runs nothing but its functions")
            self.require(length < LONGEST, "has no path without an end")
            for new in self.step(state, at):
                memory, back = new.memory, new.memory.root.back
                offset = memory.place(new.registers.load(self.arch.stack))[2]
                self.require(offset is not None, "knows its place on the stack")
                # A signal may overwrite the rest at any time.
                memory.stack = {at: byte for at, byte in memory.stack.items() if at >= offset - self.arch.red_zone}
                if back is not None and back.symbolic == new.regs.ip.symbolic and self.holds(new, new.regs.ip == back):
                    empty = 0 if self.arch.link else self.word
                    self.require(offset == empty, "gives its stack back before it returns from a handler")
                    paths.append(new)
                    continue
                self.require(isinstance(plain(new.regs.ip), int), "jumps to no unknown place")
                if new.history.jumpkind == "Ijk_Boring" and new.addr <= self.base + at and new.addr not in self.cuts:
                    self.cuts.add(new.addr)
                    return self.walk(head)
                todo.append((new, length + 1))
        return paths

    def step(self, state, at):
        """Runs one instruction. Returns the states that may follow."""
        code, states = self.file[at : at + 16], []
        if code.startswith(b"".join(self.trap)):
            sizes = map(len, self.trap)
            self.call_kernel(state)
        elif code[2:4].hex() == self.arch.shift:
            # slli.d of LoongArch: P-code takes only five of the six bits of the distance.
            word, sizes, zero = int.from_bytes(code[:4], "little"), [4], self.registers["zero"][0]
            source, target = (zero + 8 * (word >> bit & 31) for bit in (5, 0))
            state.registers.store(target, state.registers.load(source, 8) << (word >> 10 & 63))
        else:
            try:
                successors = self.project.factory.successors(state, num_inst=1, insn_bytes=code)
            except (angr.AngrError, angr.errors.SimError, claripy.ClaripyError) as error:
                raise Unknown(f"at {at:#x}, the engine doesn't know the instruction: {error}") from error
            sizes = [successors.artifacts["irsb_size"]]
            states = successors.flat_successors + successors.unconstrained_successors
            kinds = {new.history.jumpkind for new in states}
            self.require(kinds <= {"Ijk_Boring", "Ijk_Call", "Ijk_Ret"}, "makes no known trap", f": {kinds}")
            states = [new for new in states if len(states) == 1 or new.solver.satisfiable()]
        for size in sizes:
            self.instructions[at] = size
            self.touched.update(range(at, at + size))
            at += size
        if not states:
            state.regs.ip, state.history.jumpkind = self.base + at, "Ijk_Boring"
        return states or [state]

    def call_kernel(self, state):
        """Makes a system call, with any answer."""
        number = plain(state.registers.load(self.arch.number))
        self.require(isinstance(number, int) and number in self.names, "makes only the system calls of the contract")
        name = self.names[number]
        arguments = [state.registers.load(register) for register in self.arch.arguments]
        first, second, third, fourth = arguments
        if name == "ppoll" and all(self.holds(state, argument == 0) for argument in arguments):
            name = "pause"
        action = [(second + self.word * place, self.word) for place in (0, 1, 2)]
        action.append((second + self.word * self.arch.mask, 8))
        files = [(first, 4), (first + 4, 2), (first + 6, 2)]
        reads = {"rt_sigaction": action, "rt_sigprocmask": [(second, 8)], "poll": files, "ppoll": [*files, (third, 16)]}
        memory = [state.memory.load(address, size, endness=self.endness) for address, size in reads.get(name, [])]
        if name == "ppoll":
            # Like poll, with a time and a mask in memory. The kernel may write the time that is left.
            name, arguments[2] = "poll", claripy.Concat(memory.pop(), fourth)
        if name == "poll":
            memory.append(fresh("revents", 2))
            state.memory.store(first + 6, memory[-1], endness=self.endness)
            if "ppoll" in self.arch.calls:
                state.memory.store(third, fresh("timeout", 16))
        elif name == "write":
            start, size = plain(second), plain(third)
            known = isinstance(start, int) and isinstance(size, int)
            memory = self.read(start if known else 0, size, "writes only what stands in the file")
        for register in self.registers.keys() & {self.arch.result, *self.arch.clobbers}:
            state.registers.store(register, fresh(name, self.registers[register][1]))
        answer, stack = (state.registers.load(register) for register in (self.arch.result, self.arch.stack))
        state.memory.events.append(Call(name, arguments, answer, stack, memory))


def attempt(program, engine):
    """Returns the outcome of one engine's proof."""
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        proof = Proof(program, engine)
        proof.run()
        counts = len(proof.facts), proof.checks, proof.paths, len(proof.instructions)
        return {"name": "proved", "counts": counts, "instructions": sorted(proof.instructions.items())}
    except (Exception, KeyboardInterrupt) as error:
        name = {Refused: "refused", Unknown: "unknown"}.get(type(error), "undecided")
        return {"name": name, "reason": str(error) or f"not within {SECONDS} s"}


if __name__ == "__main__":
    # Reads programs as JSON. Prints an engine's outcome for each, a line of JSON; null if it lacks the processor.
    signal.signal(signal.SIGVTALRM, signal.default_int_handler)
    for program in json.load(sys.stdin):
        has_processor = sys.argv[1] in ARCHES[program["architecture"]]
        print(json.dumps(attempt(program, sys.argv[1]) if has_processor else None), flush=True)
