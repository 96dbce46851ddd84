# exported.sh LIBRARY: fails if it exports other names of polariscope's than attend.h declares, or not those.
names=$(nm -DC --defined-only "$1" | cut -d ' ' -f 3- | grep '^polariscope::') || { echo "no name is exported"; exit 1; }
for name in attend attention_weights statistics_of; do
  echo "$names" | grep -qE "^polariscope::attention::$name(\[abi:cxx11\])?\(" || { echo "$name is not exported"; exit 1; }
done
others=$(echo "$names" | grep -vE '^polariscope::attention::(attend|attention_weights|statistics_of)(\[abi:cxx11\])?\(')
[ -z "$others" ] || { echo "exported as well:"; echo "$others"; exit 1; }
