"""What can be asked of the service, as conversations: everything of a client but the waiting."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus

import httpx

from clients.answer import Answer, Batch, BatchItem, Model, Models, parse
from clients.conversation import Call, Conversation, Manners
from clients.errors import ClientError, InvalidCall, TooLarge, UnexpectedAnswer, answer_error
from clients.options import Options
from clients.payloads import Parts, Payload, parts
from clients.problems import REQUEST_ID, from_fields

Sample = Mapping[str, Payload]
Result = Answer | ClientError
"""For one sample of many: its answer, or why there is none: an `AnswerError`, or `InvalidCall` for a file at fault."""

BATCH = 64
"""Samples of one request, the server's own default limit; where its limit is less, it says so and gets halves."""


def predict(manners: Manners, payloads: Sample, options: Options) -> Conversation[Answer]:
    """The prediction for one sample."""
    response = yield from manners.ask(Call("POST", "/v1/predict", parts(payloads) + options.parts()))
    answer = parse(Answer, response.content)
    return replace(_checked(answer), request_id=response.headers.get(REQUEST_ID))


def models(manners: Manners) -> Conversation[tuple[Model, ...]]:
    """Every model the service offers."""
    response = yield from manners.ask(Call("GET", "/v1/models"))
    return parse(Models, response.content).models


def predict_batch(manners: Manners, samples: Sequence[Sample], options: Options) -> Conversation[list[Result]]:
    """One result for each sample, in order; what cannot be sent is a result too."""
    results: dict[int, Result] = {}
    sendable: list[tuple[int, Parts]] = []
    chosen = options.parts()
    for index, sample in enumerate(samples):
        try:
            sendable.append((index, parts(sample)))
        except InvalidCall as error:
            results[index] = error
    groups = [sendable[start : start + BATCH] for start in range(0, len(sendable), BATCH)]
    while groups:
        group = groups.pop(0)
        try:
            found = yield from _batch(manners, [given for _, given in group], chosen)
        except (TooLarge, InvalidCall) as error:
            if len(group) > 1:  # over a limit for all, or one file changed: what is alone is to blame alone
                groups[:0] = [group[: len(group) // 2], group[len(group) // 2 :]]
                continue
            found = [error]
        results.update(zip((index for index, _ in group), found, strict=True))
    return [results[index] for index in range(len(samples))]


def _batch(manners: Manners, samples: list[Parts], chosen: Parts) -> Conversation[list[Result]]:
    form = [(f"{index}.{name}", part) for index, given in enumerate(samples) for name, part in given]
    response = yield from manners.ask(Call("POST", "/v1/predict/batch", form + chosen))
    items = parse(Batch, response.content).items
    if len(items) != len(samples):
        raise UnexpectedAnswer(f"expected {len(samples)} results, one for each sample, received {len(items)}")
    return [_result(item, response.headers) for item in items]


def _result(item: BatchItem, headers: httpx.Headers) -> Result:
    if item.answer is not None:
        return replace(_checked(item.answer), request_id=headers.get(REQUEST_ID))
    if item.problem is None:
        raise UnexpectedAnswer("expected an answer or a problem for every sample, received neither")
    stated = item.problem.get("status")
    status = stated if isinstance(stated, int) else HTTPStatus.INTERNAL_SERVER_ERROR
    return answer_error(from_fields(item.problem, int(status), headers))


def _checked(answer: Answer) -> Answer:
    if not answer.predictions:
        raise UnexpectedAnswer("expected a probability for every class, received none")
    return answer
