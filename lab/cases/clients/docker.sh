# Docker: the daemon's own chains, networks of every kind, a container with published ports, restart of the daemon, clean-up.
. /mnt/cases/steps
has dockerd 'Debian docker.io'
has containerd 'Debian containerd'
has runc 'Debian runc'
ip addr add 192.0.2.1/32 dev lo
mkdir -p /sys/fs/cgroup
mount --rbind /mnt/cgroup /sys/fs/cgroup
# a group of its own, to be taken away at the end: control groups have no namespace that could go with us
group=/lab-$(cat /proc/sys/kernel/random/uuid)
start() {
  dockerd --storage-driver=vfs --data-root=/mnt/docker --exec-root=/run/docker --ipv6 --fixed-cidr-v6=2001:db8:1::/64 --experimental --ip6tables \
    --cgroup-parent="$group" >/tmp/dockerd.log 2>&1 &
  for _ in $(seq 300); do
    docker info >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  cat /tmp/dockerd.log
  return 1
}
stop() { kill "$(cat /run/docker.pid)" && wait; }
complaints() { sed -n 's/.*level=\(error\|warning\) msg=\(.*iptables.*\)/\1 \2/p' /tmp/dockerd.log; }
ok start
rule DOCKER-ISOLATION-STAGE-1
step complaints
ok docker network create --subnet 10.77.0.0/24 -o com.docker.network.bridge.name=lab0 lab
rule lab0
ok docker network create --internal --subnet 10.78.0.0/24 -o com.docker.network.bridge.name=lab1 inner
ok docker network create --subnet 10.79.0.0/24 -o com.docker.network.bridge.name=lab2 -o com.docker.network.bridge.enable_icc=false -o com.docker.network.bridge.enable_ip_masquerade=false alone
mkdir -p /tmp/image/bin
cp /usr/bin/sleep /tmp/image/bin/
for library in $(ldd /usr/bin/sleep | grep -o '/[^ ]*'); do
  mkdir -p "/tmp/image$(dirname "$library")"
  cp "$library" "/tmp/image$library"
done
tar -C /tmp/image -c . | docker import - sleeper >/dev/null
ok docker run -d --name web --network lab --ip 10.77.0.9 -p 8080:80 -p 192.0.2.1:8443:443/tcp -p 5353:53/udp sleeper /bin/sleep 1000
rule '--to-destination 10.77.0.9:80'
ok docker run -d --name ranged -p 9000-9003:9000-9003 sleeper /bin/sleep 1000
ok docker network connect inner web
ok docker stop -t 0 ranged
ok docker restart -t 0 web
ok docker rm -f web ranged
ok docker network rm lab
ok docker network rm inner alone
step complaints
ok stop
ok start
step complaints
ok stop
find /sys/fs/cgroup -depth -type d -path "*$group*" -exec rmdir {} + 2>/dev/null || true
