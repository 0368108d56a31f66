#!/bin/sh
# Boots the kernel of this capsule in QEMU and looks for what was found in it; see README.
#
# Exits 0: ran to its end, nothing of it seen; 1: seen; 2: ended otherwise; 125: QEMU did not run; 130: stopped.
# Variables: QEMU (program), ACCEL (kvm or tcg), LIMIT (seconds), SANDBOX (empty where QEMU has no seccomp).

cd "$(dirname "$0")" || exit 125
# A console may hold any bytes.
LC_ALL=C
export LC_ALL
QEMU=${QEMU:-qemu-system-x86_64}
LIMIT=${LIMIT:-@LIMIT@}
SANDBOX=${SANDBOX--sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny}

if ! command -v "$QEMU" >/dev/null 2>&1; then
    echo "run.sh: there is no $QEMU here: install it, or name one in QEMU" >&2
    exit 125
fi

# Runs a command, at most so many seconds. Its exit code; 137 when it was killed.
within() {
    limit=$1
    shift
    "$@" </dev/null &
    child=$!
    trap 'kill -9 "$child" 2>/dev/null; exit 130' INT TERM HUP
    (
        n=0
        while [ "$n" -lt "$limit" ] && kill -0 "$child" 2>/dev/null; do
            sleep 1
            n=$((n + 1))
        done
        kill -9 "$child" 2>/dev/null
    ) >/dev/null 2>&1 &
    wait "$child"
    ended=$?
    trap - INT TERM HUP
    return "$ended"
}

# A /dev/kvm that opens may still not run a guest, so a boot sector is tried.
if [ -z "${ACCEL:-}" ]; then
    ACCEL=tcg
    if [ -w /dev/kvm ]; then
        within 5 "$QEMU" -nodefaults -no-user-config -display none -no-reboot -machine pc -accel kvm -m 64M \
            -device isa-debug-exit,iobase=0xf4,iosize=1 \
            -drive if=ide,file=kvm-probe.img,format=raw,snapshot=on >/dev/null 2>&1
        [ $? -eq 85 ] && ACCEL=kvm
    fi
fi
echo "run.sh: $QEMU with $ACCEL (recorded with @RECORDED@), at most $LIMIT s" >&2
case $ACCEL in
kvm) CPU=host ;;
*) ACCEL=tcg,thread=multi CPU=max,la57=off ;;
esac

seen=0
# Says whether all the patterns are in a file.
look() {
    title=$1 file=$2
    shift 2
    for pattern; do
        if ! grep -q -e "$pattern" "$file"; then
            echo "run.sh: not seen: $title" >&2
            return
        fi
    done
    echo "run.sh: SEEN: $title" >&2
    seen=1
}

came_to_its_end() {
    grep -q '"say":"bye"' agent.jsonl
}

# For what shows in that the guest never came to its end.
look_at_the_end() {
    if came_to_its_end; then
        echo "run.sh: not seen: $1" >&2
    else
        echo "run.sh: SEEN: $1" >&2
        seen=1
    fi
}

rm -f console.log agent.jsonl
: >agent.jsonl
