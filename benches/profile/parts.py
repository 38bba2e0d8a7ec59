"""The parts of a hit's work, told by the functions that do it. What a function has inlined is its own, so that the
parts inside one function, as of the code that calls all others, cannot be told apart.
"""

import re

PARTS = [
    ("kernel: writing (writev, TCP, copying the body)", r"^(__x64_sys_)?(writev|sendmsg|sendto|do_writev|__sys_sendto)$"),
    ("kernel: reading (recv)", r"^(__x64_sys_)?(recvfrom|recvmsg|read|readv|__sys_recvfrom)$"),
    ("kernel: waiting (epoll)", r"epoll"),
    ("kernel: the rest", r"entry_SYSCALL|asm_|do_syscall|\[k\]|syscall_|irq|sysvec"),
    ("parsing the head", r"httparse|hit_lane::request|Lines|memchr"),
    ("admission: target, host, route, key", r"policy::(admission|target|host|route|key|query|request_fields|forwarded)|"
     r"uri::|matchit|xxh|str::|charsearcher|strsearcher|or_else|headername|standardheader|flattencompat"),
    ("lookup: store, purges, popularity", r"breadbox::store|foyer|hit_lane::hot|purge|popularity"),
    ("decision", r"question|policy::(lookup|freshness|cache_control|encoding|validation|page)"),
    ("the head of the answer, and what is around it", r"hit_lane::answer|hit_lane::Hits::answer|cache_status|itoa|fmt|ids::|"
     r"policy::(date|outcome)|pow"),
    ("connection and transport", r"front::(connection|hit_lane|receive)|pingora|BufWriter"),
    ("series and log", r"metrics|telemetry|Hits::record"),
    ("clock and timers", r"clock|timespec|Timespec|tokio::(runtime::)?time|vdso|clock_gettime|SystemTime|Instant"),
    ("configuration in force (arc_swap)", r"arc_swap"),
    ("tokio: tasks, readiness, sockets", r"tokio|mio::|std::sys::backtrace"),
    ("libc: copying, comparing, calls", r"mem(cpy|cmp|move|set|chr)|pthread|^(writev|recv|epoll_wait|__errno)|cancel|libc|syscall"),
]
PARTS = [(name, re.compile(pattern, re.IGNORECASE if name.startswith(("clock", "admission")) else 0)) for name, pattern in PARTS]
KERNEL = [part for part in PARTS if part[0].startswith("kernel")]
OURS = [part for part in PARTS if not part[0].startswith("kernel")]


def part_of(stack):
    """The part that a stack is of, whose outermost function comes first; or a function alone."""
    is_kernel = any(frame.startswith(("entry_SYSCALL", "asm_", "do_syscall")) or frame.endswith("_[k]") for frame in stack)
    for name, pattern in KERNEL if is_kernel else []:
        if any(pattern.search(frame) for frame in stack):
            return name
    for frame in reversed(stack):
        for name, pattern in OURS:
            if pattern.search(frame):
                return name
    return "unknown"
