"""Of a corpus that differential.py made, the cases that failed in one run of `npm run conformance -- --json` and pass in a later one.

    python3 test/golden/differential_pick.py CORPUS OLD.json NEW.json OUT [SUFFIX]

OUT is a corpus to be packed by `npm run conformance -- --corpus OUT --pack FILE`: at most two small cases of a kind of failure.
"""
import json,sys,re,struct,os
d,old,new,out=sys.argv[1:5]; tag=sys.argv[5] if len(sys.argv)>5 else ''
A=json.load(open(old))['units']; B=json.load(open(new))['units']; idx=json.load(open(d+'/index.json'))['ops']
os.makedirs(out,exist_ok=True); res={}
if os.path.exists(out+'/index.json'): res=json.load(open(out+'/index.json'))['ops']
total=0
for u,e in idx.items():
    if u not in A or u not in B: continue
    fa={p['id']:p['reason'] for p in A[u]['problems'] if p['status']=='failed'}
    fb={p['id'] for p in B[u]['problems'] if p['status']=='failed'}
    fixed=[i for i in fa if i not in fb]
    if not fixed: continue
    f=f"{d}/{e['file']}"; m=json.load(open(f+'.json')); raw=open(f+'.safetensors','rb').read(); n=struct.unpack('<Q',raw[:8])[0]; h=json.loads(raw[8:8+n])
    by={str(c['id']):c for c in m['cases']+m['errors']}
    def size(c):
        return sum(h[k]['data_offsets'][1]-h[k]['data_offsets'][0] for k in re.findall(r'"([^"]+)"',json.dumps(c)) if k in h)
    seen={}; keep=[]
    for i in sorted(fixed,key=lambda i:size(by[i])):
        k=re.sub(r"[-+]?\d[\d.e+-]*|NaN|Infinity",'#',fa[i])[:60]; seen[k]=seen.get(k,0)+1
        if seen[k]<=2 and size(by[i])<4000: keep.append(i)
    if not keep: continue
    name=e['file']+tag
    cs=[c for c in m['cases'] if str(c['id']) in keep]; es=[c for c in m['errors'] if str(c['id']) in keep]
    keys={k for k in re.findall(r'"([^"]+)"',json.dumps([cs,es])) if k in h}
    parts=[];at=0;nh={}
    for k in sorted(keys):
        a,b=h[k]['data_offsets']; pad=(-at)%8; parts.append(b'\0'*pad); at+=pad
        nh[k]={**h[k],'data_offsets':[at,at+b-a]}; parts.append(raw[8+n+a:8+n+b]); at+=b-a
    hb=json.dumps(nh).encode(); hb+=b' '*((-len(hb))%8)
    open(f"{out}/{name}.safetensors",'wb').write(struct.pack('<Q',len(hb))+hb+b''.join(parts))
    m2={**m,'tensors':name+'.safetensors','cases':cs,'errors':es}
    json.dump(m2,open(f"{out}/{name}.json",'w'))
    res[u+tag]={**e,'file':name,'cases':len(cs),'errors':len(es)}; total+=len(keep)
json.dump({'format':1,'ops':res},open(out+'/index.json','w'))
print(len(res),'units',total,'picked')
