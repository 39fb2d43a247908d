/* python_proof.c: see python_proof.h. */
#include "python/python_proof.h"

#include <string.h>

#include "core/batch.h"
#include "text/base64url.h"

enum {
    PROOF_DIGEST_BYTES = 32,
    PROOF_DIGEST_CHARS = 43,
    PROOF_CLAIMS_BYTES = 8192, /* as sender/dpop.py has them */
    PROOF_CLAIMS_DEPTH = 8,
    PROOF_CLAIMS_MEMBERS = 64,
    PROOF_JTI_BYTES = 1024,
    PROOF_FOUND = 4
};

/* What is found of a good proof beside its payload. */
typedef struct {
    uint8_t ath[PROOF_DIGEST_CHARS]; /* digest of the token, base64url (RFC 9449 s.4.2) */
    uint8_t use[PROOF_DIGEST_BYTES]; /* digest of the key's name and the jti: what is used once */
    int has_use;
} proof_digests;

/* Split a proof whose key the caller has. Out: proof->status, RJ_UNDECIDED where its signature is to be verified. */
static void proof_split(rj_token *proof, const rj_snapshot *snapshot, rj_workspace *work, const rj_slot *slot,
                        rj_span octets)
{
    rj_token_split(proof, snapshot, work, octets.ptr, octets.len);
    proof->slot = slot;
    if (proof->status == RJ_UNDECIDED
        && (slot->key == NULL || !rj_key_serves(slot->key, slot->alg)
            || (slot->precomputed != NULL && rj_precomputed_alg(slot->precomputed) != slot->alg))) {
        proof->status = RJ_BAD_ARGUMENT; /* RFC 8725 s.3.1: one key, one kind of algorithm */
    }
    if (proof->status == RJ_UNDECIDED) {
        proof->group = rj_accelerated_group_of(slot, proof->check.signature.len);
    }
}

/* Verify both signatures together where their keys have tables of one curve: they share an inversion.
 * Whatever is left undecided goes its own way after. */
static void proof_verify_together(rj_token *token, rj_token *proof, const rj_snapshot *snapshot, rj_workspace *work)
{
    rj_token *both[2] = {token, proof};
    rj_accelerated_group group = RJ_ACCELERATED_NONE;

    if (token->status != RJ_UNDECIDED || token->slot == NULL || proof->status != RJ_UNDECIDED
        || snapshot->acceleration == 0 || !rj_verify_trusts_accelerated(snapshot->runtime)) {
        return;
    }
    group = rj_accelerated_group_of(token->slot, token->check.signature.len);
    if (group < RJ_ACCELERATED_ECDSA || proof->group < (uint32_t)RJ_ACCELERATED_ECDSA
        || token->slot->precomputed->curve != proof->slot->precomputed->curve) {
        return;
    }
    rj_accelerated_verify(work, group, both, 2);
    for (size_t i = 0; i < 2; i++) {
        if (both[i]->status == RJ_OK) {
            both[i]->status = rj_verify_sample(snapshot->runtime, work, both[i]);
        }
    }
    rj_token_count_use(token, snapshot);
}

/* Find the members of a proof's claims, where they are so plain that nothing is left to Python. */
static void proof_scan(rj_token *proof, rj_workspace *work)
{
    rj_json_report report;
    rj_json_limits limits = {.max_bytes = PROOF_CLAIMS_BYTES,
                             .max_depth = PROOF_CLAIMS_DEPTH,
                             .max_members = PROOF_CLAIMS_MEMBERS,
                             .flags = 0};
    rj_status status = rj_json_scan(&report, work->members, RJ_WORKSPACE_MEMBERS, work->json, sizeof work->json,
                                    proof->payload.ptr, proof->payload.len, &limits);

    if (status == RJ_OK && !report.members_overflow && !report.has_big_integer) {
        void *kept = rj_workspace_alloc(work, report.members_len * sizeof *work->members);
        if (kept != NULL) {
            memcpy(kept, work->members, report.members_len * sizeof *work->members);
            proof->members = kept;
            proof->members_len = report.members_len;
        }
    }
}

/* Digest the key's name and the proof's jti, where that is plain text. */
static void proof_digest_use(proof_digests *out, const rj_token *proof, rj_span name)
{
    for (size_t i = 0; i < proof->members_len; i++) {
        const rj_json_member *member = &proof->members[i];
        rj_digest_state state;
        if (member->name_len != 3 || memcmp(proof->payload.ptr + member->name_offset, "jti", 3) != 0) {
            continue;
        }
        if (member->value_type == RJ_JSON_STRING && !member->value_has_escape && member->value_len > 2
            && member->value_len <= PROOF_JTI_BYTES + 2 && rj_digest_start(&state, RJ_SHA256) == RJ_OK) {
            rj_digest_update(&state, name.ptr, name.len);
            rj_digest_update(&state, proof->payload.ptr + member->value_offset + 1, member->value_len - 2);
            rj_digest_finish(&state, out->use);
            out->has_use = 1;
        }
        return;
    }
}

/* Make what a proof with a good signature is compared with. Out: proof->status. */
static void proof_digest(rj_token *proof, proof_digests *out, rj_workspace *work, rj_span token, rj_span name)
{
    uint8_t digest[RJ_DIGEST_MAX_BYTES];
    size_t text_len = 0;

    if (proof->status != RJ_OK) {
        return;
    }
    proof->status = rj_digest(digest, sizeof digest, RJ_SHA256, token.ptr, token.len);
    if (proof->status == RJ_OK) {
        proof->status = rj_base64url_encode(out->ath, &text_len, sizeof out->ath, digest, PROOF_DIGEST_BYTES);
    }
    proof_scan(proof, work);
    proof_digest_use(out, proof, name);
}

/* Verify a token and its proof: their signatures, then the token's claims. In: octets of both and of the key's name. */
static void proof_verify(rj_token *token, rj_token *proof, proof_digests *out, const rj_snapshot *snapshot,
                         rj_workspace *work, const rj_slot *slot, const rj_span *octets, rj_time now)
{
    proof_split(proof, snapshot, work, slot, octets[1]);
    proof_verify_together(token, proof, snapshot, work);
    rj_token_verify_signature(token, snapshot, work);
    if (proof->status == RJ_UNDECIDED && token->status == RJ_OK) { /* a forged token's proof costs nothing more */
        proof->status = snapshot->acceleration != 0 ? rj_verify(snapshot->runtime, work, proof)
                                                    : rj_verify_libcrypto(snapshot->runtime, work, slot,
                                                                          proof->check.input, proof->check.signature);
    }
    proof_digest(proof, out, work, octets[0], octets[2]);
    rj_token_check_claims(token, snapshot, work, now);
}

/* Put a value, NULL for None, into a tuple. Returns 0 with an exception set where making it failed. */
static int proof_put(PyObject *found, Py_ssize_t at, PyObject *value)
{
    if (value == NULL) {
        if (PyErr_Occurred() != NULL) {
            return 0;
        }
        Py_INCREF(Py_None);
        value = Py_None;
    }
    return PyTuple_SetItem(found, at, value) == 0;
}

/* (payload, claims, ath, use) of a good proof, the second and the last perhaps None; NULL with an exception set. */
static PyObject *proof_found(rj_native_snapshot *native, const rj_token *proof, const proof_digests *digests)
{
    const char *payload = (const char *)proof->payload.ptr;
    PyObject *found = PyTuple_New(PROOF_FOUND);

    if (found == NULL) {
        return NULL;
    }
    if (native->proof_shapes == NULL) {
        native->proof_shapes = rj_claims_shapes_new();
    }
    if (!proof_put(found, 0, PyBytes_FromStringAndSize(payload, (Py_ssize_t)proof->payload.len))
        || !proof_put(found, 1,
                      native->proof_shapes == NULL ? NULL : rj_claims_make(native->proof_shapes, proof, native->read))
        || !proof_put(found, 2, PyUnicode_FromStringAndSize((const char *)digests->ath, PROOF_DIGEST_CHARS))
        || !proof_put(found, 3,
                      digests->has_use ? PyBytes_FromStringAndSize((const char *)digests->use, PROOF_DIGEST_BYTES)
                                       : NULL)) {
        Py_CLEAR(found);
    }
    return found;
}

/* (result, found), or (result, None) where the proof is not good. Takes over `result`, which may be NULL. */
static PyObject *proof_result(rj_native_snapshot *native, PyObject *result, const rj_token *proof,
                              const proof_digests *digests)
{
    PyObject *pair = result == NULL ? NULL : PyTuple_New(2);

    if (pair == NULL) {
        Py_XDECREF(result);
        return NULL;
    }
    if (!proof_put(pair, 0, result)
        || !proof_put(pair, 1, proof->status == RJ_OK ? proof_found(native, proof, digests) : NULL)) {
        Py_CLEAR(pair);
    }
    return pair;
}

/* The octets of `bytes`. */
static rj_span proof_span(PyObject *octets)
{
    return (rj_span){(const uint8_t *)PyBytes_AsString(octets), (size_t)PyBytes_Size(octets)};
}

PyObject *rj_python_verify_sent(PyObject *self, PyObject *const *args, Py_ssize_t args_len)
{
    rj_native_snapshot *native = (rj_native_snapshot *)self;
    rj_token token = {.status = RJ_UNDECIDED};
    rj_token proof = {.status = RJ_UNDECIDED};
    proof_digests digests = {.has_use = 0};
    rj_slot slot = {0};
    rj_time now = {0, 0};
    rj_span spans[3];
    PyObject *result = NULL;
    rj_workspace *work = NULL;

    if (args_len != 5 || !PyBytes_CheckExact(args[0]) || !PyBytes_CheckExact(args[2]) || !PyBytes_CheckExact(args[3])
        || !PyBytes_CheckExact(args[4]) || PyBytes_Size(args[3]) != (Py_ssize_t)sizeof slot) {
        return PyErr_Format(PyExc_TypeError, "verify_sent(bytes, now_ns, bytes, slot, bytes)");
    }
    if (!rj_python_is_attached(native) || !rj_python_now(&now, args[1])) {
        return NULL;
    }
    spans[0] = proof_span(args[0]);
    spans[1] = proof_span(args[2]);
    spans[2] = proof_span(args[4]);
    memcpy(&slot, PyBytes_AsString(args[3]), sizeof slot);
    work = rj_runtime_borrow_workspace(native->snapshot->runtime);
    if (work == NULL) {
        return PyErr_NoMemory();
    }
    work->arena_used = 0;
    rj_token_split(&token, native->snapshot, work, spans[0].ptr, spans[0].len);
    rj_token_find_key(&token, native->snapshot, work, 0);
    Py_BEGIN_ALLOW_THREADS proof_verify(&token, &proof, &digests, native->snapshot, work, &slot, spans, now);
    Py_END_ALLOW_THREADS result = rj_python_result(native, args[0], &token);
    result = proof_result(native, result, &proof, &digests);
    rj_runtime_return_workspace(native->snapshot->runtime, work);
    return result;
}
