"""What a report says below its figures: how to read each, in plain words."""

CONFIDENCE = (
    "Test split. For each class, the mean probability of the true class: a marker for what each modality's own share "
    "of the logits says by itself, an upright stroke for the fused classifier. The longer the line between the "
    "markers, the more a class is one that one modality tells and another does not (the paper's Fig. 1b). The "
    "probabilities are not calibrated."
)
CONFUSION = (
    "Test split, fused classifier. A row is a true class, a column a predicted one, the shade the share of the row's "
    "samples; where classes are few, cells hold the counts. The diagonal is what is right."
)
MISTAKES = (
    "Test split, fused classifier: the most frequent confusions, as the share of the true class that is taken for the "
    "other; beside each bar the samples. There are too many classes for a matrix."
)
ACCURACY = (
    "Validation split, after each epoch: the thick line is the fused classifier, the others each modality's own share "
    "by itself. A modality whose line stays near the dotted one, the accuracy of always naming the commonest class, "
    "was left behind by the training, or tells little by itself; a training with that modality alone says which."
)
INFORMATION = "Mean over each epoch's training batches and all pairs of modalities, in nats."
ESTIMATE = (
    " Solid: the critic's estimate E[g] of the conditional mutual information I(z1; z2 | T). It is neither a lower nor "
    "an upper bound, and while features move fast, false pairs with an older partner are easily told from true ones, "
    "which raises it: a progress figure, not a measurement."
)
BOUND = (
    " Dashed: a lower bound on the information, measured on the batches trained on. It is loose, so that a bound below "
    "0 is usual, and cannot exceed the logarithm of the number of false pairs that a true one is told from, or, of "
    "InfoNCE, of the number of partners told apart, the true one among them: one more."
)
GRADIENTS = (
    "Euclidean norm of the gradient of each term of the loss with respect to each modality's encoder (the paper's Eq. "
    "13), of each epoch's first batch, as it reaches the encoder: of InfoBridge's information term, weighted by α "
    "already. OGM-GE and MMPareto change the gradients after what is shown here. All panels share one logarithmic "
    "scale; where nothing is drawn, the norm is 0, or the loss of that epoch has no such term, as happens where a "
    "method trains in phases. A modality whose task gradient lies far below another's learns little from the task."
)
VECTORS = "Test split; compared are {meaning}, at unit length."
MEASURE = (
    " The figure is the squared maximum mean discrepancy (MMD²) under a Gaussian kernel whose width is the median "
    "distance of all pairs of the two modalities' vectors pooled; 0 means that both are distributed alike. The "
    "estimator is without bias, so that a value a little below 0 is a distance of about 0. Within class is the mean "
    "over the classes, under the same kernel."
)
ONE_WEIGHT = " The paper's Fig. 3 shows this against α; a report on several runs that differ in α draws that."
MANY_WEIGHTS = (
    " Points are means over the seeds; bars are one standard deviation to either side, where there are two seeds or "
    "more. The kernel's width is chosen for each run. The paper says of its Fig. 3 that the distance falls as α "
    "grows, and more so within class."
)
EMBEDDING = (
    " Each point is a sample: its modalities' features of the kept epoch, each at unit length, side by side, brought "
    "into the plane by t-SNE (perplexity {perplexity:g}, always the same seed; the paper's Fig. 4). Points that are "
    "near are alike, so whether classes form groups can be seen; distances between groups, their sizes and the axes "
    "mean nothing."
)
REALISABILITY = (
    "The realisability error 𝒜 of the paper's Eq. 11: the mean distance on the test split between one modality's "
    "features and what ridge regression makes of them from another's. The regression is fitted on the training split, "
    "its strength chosen by cross-validation there. Drawn is the error divided by that of always predicting the mean: "
    "0 is a perfect prediction, 1 none. It is a diagnostic and no bound: Eq. 12 has constants that cannot be "
    "computed, and mutual information is the same under bijections of the features while 𝒜 is not, so that raising "
    "the one need not lower the other."
)
BY_VALUE = (
    "Test split; a row for each value, its number of samples in brackets. The upright stroke is the fused classifier's "
    "accuracy and the line its 95 % interval (Wilson), faint where a value has fewer than {fewest} samples, too few to "
    "say; the markers are what each modality's own share reaches, the dotted line is the accuracy over all samples. "
    "The intervals take samples for independent, so that they are too narrow where several are of one patient or "
    "series; and of several values one is always the worst: that its interval lies below the dotted line is the least "
    "to ask for."
)
FEWEST = 10
"""Test samples of a class, for a modality to be said to carry it."""
CALIBRATION = (
    "Test split. A confidence is believed rightly where, of the answers given with 80 %, about 80 % are right: points "
    "on the dotted diagonal. Below it the classifier is too sure of itself. Left as it was trained, right with its "
    "temperature T, one number for each output that divides its logits, fitted on {fitted} validation samples; it "
    "changes no answer. Each point is one of {bins} bins of about equally many samples; the pale bars are where 95 % "
    "of perfectly calibrated models with these confidences would lie. ECE is the mean distance from the diagonal."
)
BAND = (
    " A finite test set never shows an ECE of 0: with these {samples} samples and confidences, 95 % of perfectly "
    "calibrated fused classifiers would show {low:.3f} to {high:.3f}, and this one shows {measured:.3f}. Within that "
    "band miscalibration cannot be seen, which is not to say that there is none. The debiased ECE leaves out the part "
    "that is noise; its interval says what the true one may be."
)
CLASSES = (
    "Test split, fused classifier. For each class with at least {least} samples, and as many of others: the "
    "calibration error of that class's own probability over all samples, before (hollow) and with the temperature "
    "(full). The pale bar is what 95 % of perfectly calibrated models would show; a full point within it is as good "
    "as can be told. Of many classes one in forty lies above its bar by chance."
)
COVERAGE = (
    "Test split. From left to right, answers are given to more and more samples, the most confident first; the curve "
    "is the share of wrong ones among them, and at the right end that of all. A curve that rises from 0 means that it "
    "pays not to answer where confidence is low; a flat one, that confidence says nothing about being right. AURC is "
    "the area under it; the excess is what would be gone if every right answer were more confident than every wrong "
    "one. The left end is of few samples and jumps."
)
MISSING = (
    "Test split: accuracy where only these modalities are given, with 95 % intervals, in front of what is said "
    "without any. A modality that is not given is replaced by its stand-in."
)
DROPPED = " The training left each modality of a sample out with probability {dropout}, and learned the stand-ins."
NEVER_DROPPED = (
    " The training always had all modalities; the stand-ins were learned after it, everything else as it was. "
    "--modality-dropout trains for missing ones."
)
CONTRIBUTIONS = (
    "Test split. How the calibrated probability of the true class is owed to the modalities: each one's Shapley "
    "value, its gain averaged over the orders in which modalities can arrive, as a mean over the class's samples with "
    "its 95 % interval. With what would be said without any modality they sum to the probability given to the class. "
    "A modality far to the right carries the class, as sound carries one and pictures another in the paper's Fig. 1b; "
    "left of 0 it misleads. A modality is said to carry a class of at least ten samples where its interval is above "
    "all others'."
)
DELETION = (
    "Test split. Each point is a sample and a modality: across, the modality's contribution to the predicted class; "
    "upright, how much of that class's probability is lost, on average, where the modality is another sample's. If "
    "contributions mean what they should, points rise to the right; the rank correlation (Spearman's, 1 is perfect "
    "order) measures that. The probabilities lost are those without temperature."
)
BALANCE = (
    "How much of the gradient is each modality's: the Euclidean norm of the whole loss's gradient with respect to its "
    "encoder, divided by the sum over modalities, of each epoch's first batch. A modality whose part falls to nothing "
    "is no longer trained. Encoders differ in size and kind, so that equal parts are not the goal; a change is what "
    "to look for. Methods that change gradients afterwards do so after what is shown."
)
SHIFT = (
    "How far each sample's features lie from the training data's: Mahalanobis' distance to the nearest class, about "
    "1 for a typical training sample. The outline is validation, the filled one test. Beyond the dashed line, which "
    "at most {beyond} of samples like those of validation exceed, an input is called unusual. Where test lies to the "
    "right of validation, the test samples are themselves unlike what was trained on."
)
CORRUPTIONS = (
    "Test samples made worse in five severities, a panel for each corruption of one modality (the idea and the "
    "pictures' levels are of Hendrycks and Dietterich, 2019); of another sample: a growing share of samples gets "
    "another sample's modality. Solid is accuracy with its 95 % interval, dashed the mean calibrated confidence, "
    "dotted the share of samples that are called unusual. Confidence must fall as accuracy falls: where dashed stays "
    "above solid, the classifier is too sure of what it cannot see. Calibration is fitted on samples as they are and "
    "promises nothing here."
)
UNASKED = "Left out, as asked for (--no-corruptions)."
MOVED = "Left out: it needs the data of the training, which was not found as it was."
