# The test's side: runs the test with stand-ins for the answer's functions. Nothing of the answer runs here.
daybreak_fail() { printf '%s\n' "${1:0:4000}" >&2; kill -s KILL $$; }
IFS= read -r -d '' daybreak_status <&3 && IFS= read -r -d '' daybreak_said <&3 || { echo 'the program ended before its test was over' >&2; exit 3; }
if [[ $daybreak_status != loaded ]]; then printf '%s\n' "${daybreak_said:0:4000}" >&2; exit 2; fi
daybreak_ask() {
  local status said
  printf '%s\0' $# "$@" >&4
  if ! IFS= read -r -d '' status <&3 || ! IFS= read -r -d '' said <&3 || [[ ! $status =~ ^[0-9]{1,3}$ ]]; then
    daybreak_fail 'the program ended before its test was over'
  fi
  printf '%s' "$said"
  return "$status"
}
while IFS= read -r daybreak_name; do
  if [[ -e /job/guarded && -n $(type -t "$daybreak_name") ]]; then continue; fi # what the language has stays what it is
  eval "$daybreak_name() { daybreak_ask $daybreak_name \"\$@\"; }"
done </job/names
source /job/test.sh
