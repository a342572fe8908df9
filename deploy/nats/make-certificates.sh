#!/bin/sh
# Makes an authority, and a certificate of it for the nodes of the stream, good for a year. What is there already stays.
#   make-certificates.sh FOLDER NAME…        names as members and nodes call them: nats-0 nats-1 nats-2, or addresses
#   CERTIFICATE=homes make-certificates.sh FOLDER NAME…        another one of the same authority, homes.crt and homes.key
# Members need authority.crt alone (TIDINGS_CA_FILE); nodes node.crt, node.key and authority.crt. Keep authority.key elsewhere.
set -eu
umask 077
folder=$1
of=${CERTIFICATE:-node}
[ "$of" = node ] && usage=serverAuth,clientAuth || usage=serverAuth  # nodes let in whoever comes as a client of this authority
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
[ -f $of.crt ] || {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$of" -keyout $of.key -out $of.csr
  printf 'subjectAltName=%s\nextendedKeyUsage=%s\nkeyUsage=digitalSignature\nbasicConstraints=CA:FALSE\n' "${names#,}" $usage > $of.ext
  openssl x509 -req -in $of.csr -CA authority.crt -CAkey authority.key -CAcreateserial -days 365 -extfile $of.ext -out $of.crt
  rm $of.csr $of.ext
}
chmod 644 authority.crt $of.crt
