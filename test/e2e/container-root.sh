#!/bin/bash
# Makes a root of its own out of the machine's /usr and runs a program in it as process 1, with nothing of the machine's
# but that: own /etc, /run, /var, /dev, processes, network, names, control groups. Everything goes with the namespaces.
#
#   unshare --pid --fork --mount --net --uts --ipc --cgroup --kill-child container-root.sh FOLDER CHECKOUT PROGRAM…
#
# FOLDER: an empty folder, becomes the root. CHECKOUT: appears as /opt/vnic.
set -e
root=$1 checkout=$2
shift 2
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$root"
mkdir -p "$root"/{usr,etc/systemd,run,var/lib,var/log/journal,tmp,proc,sys,dev,root,home,opt/vnic}
for link in bin sbin lib lib32 lib64; do
  if [ -L "/$link" ]; then cp -P "/$link" "$root/$link"; fi
done
mount --bind /usr "$root/usr"
mount -o remount,bind,ro "$root/usr"
for file in passwd group nsswitch.conf ld.so.cache ld.so.conf os-release alternatives; do
  if [ -e "/etc/$file" ]; then cp -a "/etc/$file" "$root/etc/"; fi
done
: > "$root/etc/machine-id"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root"/dev/{net,pts,shm}
for device in null zero full random urandom tty net/tun; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount --bind "$checkout" "$root/opt/vnic"
mount -o remount,bind,ro "$root/opt/vnic"
cd "$root"
mkdir .old
pivot_root . .old
umount -l /.old
rmdir /.old
echo 'the root is made'
exec env -i container=vnic PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
