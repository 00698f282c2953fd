# The answer's side: loads the program, then answers calls with what it printed and its status.
exec 8<&3 9>&4 3<&- 4>&-
daybreak_source() { source /job/program.sh; }
if ! bash -n /job/program.sh 2>/tmp/syntax; then
  printf '%s\0%s\0' syntax "$(head_of=$(</tmp/syntax); printf '%s' "${head_of:0:2000}")" >&9
  exit 0
fi
source /job/program.sh 8<&- 9>&- >/dev/null 2>&1 </dev/null
printf 'loaded\0\0' >&9
while IFS= read -r -d '' count <&8; do
  words=()
  for ((index = 0; index < count; index++)); do
    IFS= read -r -d '' word <&8 || exit 0
    words+=("$word")
  done
  said=$("${words[@]}" 8<&- 9>&- </dev/null; status=$?; printf x; exit $status)
  status=$?
  printf '%s\0%s\0' "$status" "${said%x}" >&9
done
exit 0
