# What steps have in common. To be sourced from the root of the checkout.

# Says what is done, then does it.
run() {
    echo "+ $*"
    "$@"
}

# need COMMAND PACKAGE: installs a Debian package unless the command is there.
need() {
    command -v "$1" >/dev/null || apt_install "$2"
}

# Mirrors fail now and then.
apt_install() {
    local attempt
    for attempt in 1 2 3; do
        if apt-get -q update && DEBIAN_FRONTEND=noninteractive \
            apt-get -q install -y --no-install-recommends "$@"; then
            return
        fi
        echo "installing $* failed ($attempt of 3)" >&2
        sleep $((attempt * 5))
    done
    return 1
}

# retry COMMAND...: for what the network can spoil.
retry() {
    local attempt
    for attempt in 1 2 3; do
        if "$@"; then return; fi
        echo "failed ($attempt of 3): $*" >&2
        sleep $((attempt * 5))
    done
    return 1
}

# The release build of the examples, which several steps run.
examples() {
    run cargo build --release --locked --examples
    EXAMPLES=${CARGO_TARGET_DIR:-target}/release/examples
}

fail() {
    echo "$*" >&2
    exit 1
}
