
if [ ! -s console.log ]; then
    echo "run.sh: the kernel never printed anything; QEMU ended with $code" >&2
    exit 125
fi
[ "$seen" -eq 1 ] && exit 1
came_to_its_end && exit 0
echo "run.sh: the guest did not come to its end; QEMU ended with $code" >&2
exit 2
