/* SPDX-License-Identifier: MIT
 *
 * Where thread-local variables lie: the Meson option tls.
 */
#ifndef DD_TLS_H
#define DD_TLS_H

#ifndef DD_TLS_MODEL
#define DD_TLS_MODEL "initial-exec"
#endif

#endif
