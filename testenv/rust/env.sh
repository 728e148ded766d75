# Rust is where its user has installed it, which is elsewhere when HOME was changed.
home=$(getent passwd "$(id -u)" | cut -d: -f6)
if [ ! -d "${RUSTUP_HOME:-$HOME/.rustup}/toolchains" ] && [ -d "$home/.rustup/toolchains" ]; then
	export RUSTUP_HOME="$home/.rustup"
fi
