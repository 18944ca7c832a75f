"""Random cases of transformers' token classification pipeline (aggregate, group_entities) for tests/Tasks.Tests/FieldTests.cs: tag_aggregation.py OUTPUT.json. Runs where transformers is."""
import json, random, types, sys
import numpy as np
from transformers.pipelines.token_classification import TokenClassificationPipeline as P, AggregationStrategy as S
LABELS=["O","B-PER","I-PER","B-LOC","I-LOC","MISC","X-Y"]
pipe=P.__new__(P)
pipe.model=types.SimpleNamespace(config=types.SimpleNamespace(id2label=dict(enumerate(LABELS))))
class Tok:
    is_fast=True
    unk_token_id=0
    def convert_tokens_to_string(self,t): return " ".join(t)
pipe.tokenizer=Tok()
r=random.Random(3); cases=[]
for n in range(14):
    wp=n%2==0
    text="Ada Lovelace met\tBob  near New York, in 1843."
    # random cut into pieces
    off=[]; at=0
    while at<len(text):
        if text[at].isspace(): at+=1; continue
        end=min(len(text),at+r.choice([1,2,3,4]))
        while end<len(text) and any(c.isspace() for c in text[at:end]): end-=1
        off.append((at,end)); at=end
    probs=[]
    for _ in off:
        x=np.array([r.random()**3 for _ in LABELS],dtype=np.float32); x[r.randrange(len(LABELS))]+=1; probs.append(np.round(x/x.sum(),5))
    cont=[ (s>0 and not text[s-1].isspace()) if wp else (s>0 and " " not in text[s-1:s+1]) for s,e in off]
    pre=[{"word":text[s:e],"scores":p,"start":s,"end":e,"index":i,"is_subword":c} for i,((s,e),p,c) in enumerate(zip(off,probs,cont))]
    for strat in S:
        out=pipe.aggregate([dict(p) for p in pre], strat)
        out=[e for e in out if e.get("entity") not in ["O"] and e.get("entity_group") not in ["O"]]
        cases.append({"text":text,"offsets":off,"probabilities":[[round(float(v),5) for v in p] for p in probs],"continues":cont if wp else None,"aggregation":strat.value,
          "entities":[[e.get("entity") or e["entity_group"],int(e["start"]),int(e["end"]),float(e["score"])] for e in out]})
json.dump({"labels":LABELS,"cases":cases},open(sys.argv[1],"w"),separators=(",",":"))
print(len(cases))
