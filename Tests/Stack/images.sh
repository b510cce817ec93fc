#!/bin/sh
# Makes the images of the stack from Debian's packages and pushes them to a registry.
# `sh images.sh REGISTRY FOLDER`: the folder keeps the root file system, which takes a minute to make.
set -eu
registry=$1 folder=$2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
buildah() { command buildah --root "$folder/storage" --runroot "$folder/run" "$@"; }

if [ ! -e "$folder/root.tar" ]; then
    # A service that a package starts would run on this host's ports.
    mmdebstrap --variant=minbase --include=nginx-light,postgresql,redis-server,python3-psycopg2,python3-redis,procps \
        --setup-hook='mkdir -p "$1/usr/sbin"; printf "#!/bin/sh\nexit 101\n" > "$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"' \
        --customize-hook='rm -r "$1"/var/lib/postgresql/* "$1"/usr/share/doc "$1"/usr/share/locale; ln -s /usr/lib/postgresql/*/bin "$1/usr/local/pg"' \
        bookworm "$folder/root.tar.part"
    mv "$folder/root.tar.part" "$folder/root.tar"
fi
base=$(buildah from scratch)
buildah add --quiet "$base" "$folder/root.tar" / >/dev/null
buildah run "$base" -- install -d -o redis -g redis /data
buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/pg --env LANG=C.UTF-8 "$base"
buildah commit --quiet "$base" stack-base >/dev/null
buildah rm "$base" >/dev/null

# make NAME FILE-TO FILE-FROM option...
make() {
    name=$1
    shift
    container=$(buildah from --pull=never localhost/stack-base)
    buildah copy --quiet "$container" "$here/images/$name" /opt/stack/ >/dev/null
    buildah config "$@" "$container"
    buildah commit --quiet --format docker "$container" "stack-$name" >/dev/null
    buildah rm "$container" >/dev/null
    buildah push --quiet --tls-verify=false "localhost/stack-$name" "docker://$registry/stack/$name:1"
    echo "$registry/stack/$name:1"
}
make proxy --port 80 --cmd '["nginx","-c","/opt/stack/nginx.conf"]'
make db --entrypoint '["sh","/opt/stack/entrypoint.sh"]' --cmd '["postgres"]' --env PGDATA=/var/lib/postgresql/data --volume /var/lib/postgresql/data \
    --stop-signal SIGINT --port 5432
make cache --user redis --workingdir /data --volume /data --cmd '["redis-server","--bind","0.0.0.0","--protected-mode","no"]' --port 6379 \
    --healthcheck 'CMD redis-cli ping' --healthcheck-interval 1s --healthcheck-timeout 3s
make web --user 1000:1000 --workingdir /srv --cmd '["python3","-u","/opt/stack/web.py"]' --port 8000 --env APP=web
make worker --cmd '["python3","-u","/opt/stack/worker.py"]'
