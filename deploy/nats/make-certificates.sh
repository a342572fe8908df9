#!/bin/sh
# Makes an authority, and a certificate of it for the nodes of the stream, good for a year. What is there already stays.
#   make-certificates.sh FOLDER NAME…        names as members and nodes call them: nats-0 nats-1 nats-2, or addresses
# Members need authority.crt alone (TIDINGS_CA_FILE); nodes node.crt, node.key and authority.crt. Keep authority.key elsewhere.
set -eu
umask 077
folder=$1
shift
mkdir -p "$folder"
cd "$folder"
names=
for name in "$@"; do
  case $name in
    *[!0-9.]*) names="$names,DNS:$name" ;;
    *) names="$names,IP:$name" ;;
  esac
done
[ -f authority.key ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Tidings stream" \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout authority.key -out authority.crt
[ -f node.crt ] || {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=nats" -keyout node.key -out node.csr
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\nkeyUsage=digitalSignature\nbasicConstraints=CA:FALSE\n' "${names#,}" > node.ext
  openssl x509 -req -in node.csr -CA authority.crt -CAkey authority.key -CAcreateserial -days 365 -extfile node.ext -out node.crt
  rm node.csr node.ext
}
chmod 644 authority.crt node.crt
