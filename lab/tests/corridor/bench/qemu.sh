#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# A QEMU of a few lines: it inherits the same descriptors, looks at the kernel it is given, and plays the guest
# that such a kernel would be.
case "$*" in --version) echo "QEMU emulator version 7.2.0 (script)"; exit;; esac
words=("$@")
number() { for word in "${words[@]}"; do case "$word" in socket,id=$1,fd=*) echo "${word##*=}";; esac; done; }
C=$(number console); A=$(number agent); Q=$(number qmp)
kernel=; for ((i = 0; i < $#; i++)); do [ "${words[i]}" = -kernel ] && kernel=${words[i + 1]}; done
# The probe for KVM brings a boot sector and no kernel.
[ -n "$kernel" ] || { echo "no kernel to play" >&2; exit 1; }
text=$(tr -d '\0' <"$kernel")
has() { [[ $text == *"$1"* ]]; }
say() { printf '[%12s] %s\n' "$1" "$2" >&"$C"; }
agent() { printf '%s\n' "$1" >&"$A"; }
monitor() { printf '%s\n' "$1" >&"$Q"; }
# Has no evidence to give, and says so.
refuse() {
    # The command's own id stands last.
    [[ $1 =~ .*\"id\":\"([^\"]+)\" ]] || return 0
    monitor "{\"error\":{\"class\":\"GenericError\",\"desc\":\"a script has none\"},\"id\":\"${BASH_REMATCH[1]}\"}"
}
# Waits for a stop of the lab, at most so many seconds.
stopped() {
    local n line
    for ((n = 0; n < 5 * $1; n++)); do
        if read -r -t 0.1 line <&"$A"; then
            [[ $line == *'"stop"'* ]] && return 0
            [[ $line == *'"state"'* ]] && agent '{"t_ms":1150,"say":"state-end"}'
        fi
        if read -r -t 0.1 line <&"$Q"; then [[ $line == *'"quit"'* ]] && exit 0; refuse "$line"; fi
    done
    return 1
}
bye() {
    local rate=400
    has HALF_AS_FAST && rate=200
    # No two boots are alike.
    rate=$((rate + RANDOM % 20))
    agent "{\"t_ms\":$1,\"say\":\"measure\",\"index\":0,\"name\":\"ops-per-second\",\"value\":$rate.0,\"unit\":\"1/s\"}"
    agent "{\"t_ms\":$1,\"say\":\"latencies\",\"index\":0,\"op\":\"open\",\"buckets\":[[1000,98],[64000,2]]}"
    agent "{\"t_ms\":$1,\"say\":\"end\",\"index\":0,\"how\":{\"as\":\"$2\"},\"ops\":$3,\"ran_ms\":$4}"
    agent "{\"t_ms\":$(($1 + 1)),\"say\":\"bye\"}"
    say 9.000001 "reboot: Power down"
    monitor '{"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-shutdown"}}'
    exit 0
}
sleeps() {
    local function=$2
    while IFS= read -r line; do say "$1" "$line"; done <<END
BUG: sleeping function called from invalid context at kernel/locking/spinlock_rt.c:48
in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 71, name: w3
preempt_count: 1, expected: 0
RCU nest depth: 1, expected: 1
INFO: lockdep is turned off.
CPU: 0 UID: 0 PID: 71 Comm: w3 Not tainted 6.12.0-mini #1
Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2-debian-1.16.2-1 04/01/2014
Call Trace:
 <TASK>
 dump_stack_lvl+0x4b/0x70
 __might_resched+0x1d2/0x2a0
 rt_spin_lock+0x3c/0x110
 $function+0x51/0x240
 d_splice_alias+0x99/0x350
 path_openat+0x8d5/0x11a0
 do_syscall_64+0x6c/0x140
 entry_SYSCALL_64_after_hwframe+0x76/0x7e
 </TASK>
END
}

has DIES && { say 0.000000 "Linux version 6.12.0-mini (lab@lab)"; echo "qemu: fatal: out of luck" >&2; kill -9 $$; }
say 0.000000 "Linux version 6.12.0-mini (lab@lab) (gcc 12.2.0)"
has ESCAPES && printf 'a console\x1b]0;owned\x07\x1b[31m that\x9b5m paints\n' >&"$C"
has BUG_AT_BOOT && sleeps 0.123456 d_walk_at_boot
agent '{"t_ms":900,"say":"hello","protocol":3,"release":"6.12.0-mini","cpus":1,"mem_kib":131072}'
agent '{"t_ms":1000,"say":"begin","index":0,"name":"lookup-storm","fs":"tmpfs"}'
sleep "${LAB_TRIAL_PACE:-0.02}"
agent '{"t_ms":1100,"say":"progress","index":0,"ops":40,"ran_ms":100}'
if has PANIC; then
    say 1.050000 "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"
    say 1.050100 "---[ end Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0) ]---"
    monitor '{"event":"GUEST_PANICKED","data":{"action":"pause"}}'
    while read -r -t 5 line <&"$Q"; do case "$line" in
        *registers*) monitor '{"return":"CPU#0 RAX=1","id":"registers"}';;
        *cont*) monitor '{"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-reset"}}'; exit 0;;
        *quit*) exit 0;;
        *) refuse "$line";;
    esac; done
    exit 0
fi
if has SILENT; then
    trap '' TERM
    while :; do read -r -t 0.2 line <&"$Q" && [[ $line != *'"quit"'* ]] && refuse "$line"; done
fi
if has STUCK; then
    agent '{"t_ms":6000,"say":"stuck","index":0,"tid":71,"comm":"w3","state":"D","op":"unlink d0/n3","wchan":"d_alloc_parallel","stack":["d_alloc_parallel+0x3a0/0x6d0","lookup_open+0x8e/0x5f0","path_openat+0x8d5/0x11a0"]}'
    agent '{"t_ms":6001,"say":"end","index":0,"how":{"as":"stuck","threads":1},"ops":40,"ran_ms":5000}'
    agent '{"t_ms":6002,"say":"bye"}'
    monitor '{"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-shutdown"}}'
    exit 0
fi
if has SLOW; then stopped 60 && bye 1500 stopped 60 200; bye 6000 done 2000 5000; fi
if has BUG_IN_SCENARIO; then
    sleeps 1.100000 __d_lookup_unhash
    has ESCAPES && say 1.2 $'BUG: \x1b[2Jkernel NULL pointer dereference'
    stopped 20 && bye 1200 stopped 60 100
fi
bye 6000 done 2000 5000
